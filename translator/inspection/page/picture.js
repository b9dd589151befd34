/** The page as a picture: what the browser has laid out, written again as SVG, and from that as PNG. */
import { manifest } from "./data.js";
import { svg } from "./dom.js";
import { link } from "./state.js";

const STYLED = ["fill", "stroke", "stroke-width", "stroke-opacity", "opacity", "font-size", "text-anchor"];

/** Boxes, lines, pictures and text of an element and all within it, in the element's own places. */
function drawn(root) {
  const origin = root.getBoundingClientRect();
  const parts = [];
  const visit = (element) => {
    const style = getComputedStyle(element);
    if (style.display === "none" || style.visibility === "hidden" || element.classList.contains("hidden-text")) return;
    const box = element.getBoundingClientRect();
    const [x, y] = [box.left - origin.left, box.top - origin.top];
    const opacity = faded(element, root);
    if (element.tagName === "svg") return parts.push(inline(element, box, x, y, opacity));
    if (element.tagName === "CANVAS") return parts.push(bitmap(element, box, x, y, opacity));
    const border = ["Top", "Right", "Bottom", "Left"].map((edge) => parseFloat(style[`border${edge}Width`]) || 0);
    const round = border.every((width) => width > 0);
    if (box.width && box.height && (style.backgroundColor !== "rgba(0, 0, 0, 0)" || round)) {
      parts.push(svg("rect", {
        x, y, width: box.width, height: box.height, rx: Math.min(parseFloat(style.borderTopLeftRadius) || 0, box.height / 2),
        fill: style.backgroundColor, stroke: round ? style.borderTopColor : "none", "stroke-width": border[0], opacity,
      }));
    }
    const line = (at, width, stroke) => parts.push(svg("line", { x1: x, x2: x + box.width, y1: at, y2: at, stroke, "stroke-width": width, opacity }));
    if (!round && border[0]) line(y, border[0], style.borderTopColor);
    if (!round && border[2]) line(y + box.height, border[2], style.borderBottomColor);
    for (const child of element.childNodes) {
      if (child.nodeType === Node.ELEMENT_NODE) visit(child);
      else if (child.nodeType === Node.TEXT_NODE && child.data.trim()) parts.push(...written(child, style, origin, opacity));
    }
  };
  visit(root);
  return parts;
}

/** The opacity that an element has from all above it. */
function faded(element, root) {
  let opacity = 1;
  for (let e = element; e && e !== root.parentElement; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
  return opacity === 1 ? null : opacity;
}

/** A text node, line by line as it was broken. */
function written(node, style, origin, opacity) {
  const lines = [];
  const range = document.createRange();
  for (let i = 0; i < node.data.length; i++) {
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const box = range.getClientRects()[0];
    if (!box) continue;
    const last = lines.at(-1);
    if (last && Math.abs(last.box.top - box.top) < 3) last.text += node.data[i];
    else lines.push({ text: node.data[i], box });
  }
  const vertical = style.writingMode !== "horizontal-tb";
  const attributes = { fill: style.color, "font-size": style.fontSize, opacity };
  if (vertical) {
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const [x, y] = [box.left - origin.left + box.width * 0.72, box.bottom - origin.top];
    return [svg("text", { ...attributes, transform: `translate(${x} ${y}) rotate(-90)` }, node.data)];
  }
  return lines.map(({ text, box }) => svg("text", {
    ...attributes, x: box.left - origin.left, y: box.top - origin.top + box.height * 0.78, "xml:space": "preserve",
  }, text));
}

/** A canvas of a pixel a number, scaled up without smoothing. */
function bitmap(canvas, box, x, y, opacity) {
  const large = document.createElement("canvas");
  large.width = Math.max(Math.round(box.width * 2), 1);
  large.height = Math.max(Math.round(box.height * 2), 1);
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return svg("image", { x, y, width: box.width, height: box.height, href: large.toDataURL(), preserveAspectRatio: "none", opacity });
}

/** An SVG of the page, with the style sheet's colours written into it. */
function inline(element, box, x, y, opacity) {
  const copy = element.cloneNode(true);
  const [from, to] = [element.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((part, i) => {
    const style = getComputedStyle(part);
    for (const name of STYLED) to[i].setAttribute(name, style.getPropertyValue(name));
  });
  const place = { x, y, width: box.width, height: box.height, opacity: opacity ?? 1 };
  for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
  return copy;
}

/** The page, as it is laid out, as an SVG file's text. */
function pageAsSvg() {
  const page = document.getElementById("page");
  const [width, height] = [page.scrollWidth, page.scrollHeight];
  const font = getComputedStyle(document.body);
  const face = document.getElementById("face").textContent; // the page's own font travels along
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": font.fontFamily },
    svg("style", {}, face), svg("title", {}, manifest.source.text.replace(/\p{Cc}/gu, "")),
    svg("rect", { width, height, fill: font.backgroundColor }), drawn(page));
  return { text: new XMLSerializer().serializeToString(picture), width, height };
}

/** Save the page as it is laid out as a file of either kind, "svg" or "png" (twice the size, for print). */
export async function savePicture(kind) {
  const { text, width, height } = pageAsSvg();
  const data = new Blob([text], { type: "image/svg+xml" });
  const name = `attention-${link().slice(1).replaceAll("/", "-")}.${kind}`;
  if (kind === "svg") return download(data, name);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * 2, height * 2];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => download(blob, name));
}

function download(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
}
