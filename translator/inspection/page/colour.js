/** Colours of the data, from the style sheet's variables; pictures of numbers, one pixel a number, scaled by CSS. */
import { fixed, h } from "./dom.js";

const palette = {};

/** Read the colours; again whenever light turns to dark. */
export function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["cell", "accent", "negative", "hidden"]) palette[name] = rgb(style.getPropertyValue(`--${name}`).trim());
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** 0 is the empty cell, 1 the accent, −1 its opposite. */
function colour(x) {
  const t = Math.min(Math.abs(x), 1);
  const end = x < 0 ? palette.negative : palette.accent;
  return palette.cell.map((c, i) => Math.round(c + t * (end[i] - c)));
}

/** For a cell of value x: its background, and black or white for a number on it, whichever is the easier to read. */
export function cellStyle(x) {
  const [r, g, b] = colour(x);
  const linear = (c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return { background: `rgb(${r} ${g} ${b})`, color: light > 0.179 ? "#000" : "#fff" };
}

/** Paint a matrix of numbers into a canvas, a pixel a number; ±`scale` are the full colours, NaN is hidden. */
export function paint(canvas, rows, scale = 1) {
  const [height, width] = [rows.length, rows[0]?.length ?? 0];
  Object.assign(canvas, { width: Math.max(width, 1), height: Math.max(height, 1) });
  const image = new ImageData(canvas.width, canvas.height);
  const { cell, accent, negative, hidden } = palette;
  let at = 0;
  for (const row of rows) {
    for (let j = 0; j < width; j++) { // `colour` written out: this runs for every number that is shown
      const end = row[j] < 0 ? negative : row[j] >= 0 ? accent : hidden;
      const t = row[j] === row[j] ? Math.min(Math.abs(row[j]) / scale, 1) : 1;
      for (let c = 0; c < 3; c++) image.data[at++] = cell[c] + t * (end[c] - cell[c]);
      image.data[at++] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** A small picture of a matrix of weights. */
export const thumbnail = (rows, attributes) => paint(h("canvas", { "aria-hidden": "true", ...attributes, class: "pixels" }), rows);

/** A bar of x, full at `most`; a signed one grows from the middle, to the left if negative. */
export function bar(x, most, signed = false) {
  const size = x === -Infinity ? 0 : Math.min(Math.abs(x) / (most || 1), 1) * (signed ? 50 : 100);
  const left = signed ? (x < 0 ? 50 - size : 50) : 0;
  return h("span", { class: `bar-cell ${signed ? "signed" : ""}`, "aria-hidden": "true" },
    h("span", { class: x < 0 && "less", style: { left: `${left}%`, width: `${size}%` } }));
}

/** The largest size among vectors: what the colours of a group of strips are scaled by. */
export const largest = (...vectors) => Math.max(1e-9, ...vectors.map((v) => v.reduce((top, x) => Math.max(top, Math.abs(x)), 0)));

/**
 * A vector as a strip of colours, its values read by pointing or with the arrow keys, and its first values in figures.
 * @param {{name: string, scale: number, focus?: boolean}} options `scale` is the value of full colour
 */
export function strip(values, { name, scale, focus = false }) {
  const readout = h("span", { class: "values", "aria-hidden": "true" });
  const bar = h("canvas", { class: "pixels strip", role: "img", tabindex: focus ? 0 : null });
  let now;
  let at = 0;
  const rest = () => (readout.textContent = [...now.slice(0, 3)].map((x) => fixed(x, 2)).join("  ") + (now.length > 3 ? " …" : ""));
  const show = (i) => {
    at = Math.min(Math.max(i, 0), now.length - 1);
    readout.textContent = `[${at + 1}] ${fixed(now[at], 4)}`;
    bar.setAttribute("aria-label", `${name}[${at + 1}] = ${fixed(now[at], 4)}`);
  };
  bar.addEventListener("pointermove", (event) => show(Math.floor((event.offsetX / bar.clientWidth) * now.length)));
  bar.addEventListener("pointerleave", rest);
  bar.addEventListener("blur", rest);
  if (focus) bar.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    show(at + by);
  });
  const element = h("span", { class: "vector" }, bar, readout);
  /** Show other values in the same strip. */
  element.update = (values) => {
    now = values;
    paint(bar, [values], scale);
    bar.setAttribute("aria-label", `${name} (${values.length}): ${[...values.slice(0, 4)].map((x) => fixed(x, 2)).join(", ")} …`);
    rest();
  };
  element.update(values);
  return element;
}

/** A vector with its name before it. */
export function vectorRow(label, values, { scale = largest(values), name = String(label), focus = false, role = "" } = {}) {
  const vector = strip(values, { name, scale, focus });
  const row = h("div", { class: `vector-row ${role}` }, h("span", { class: "vector-name" }, label), vector);
  row.update = vector.update;
  return row;
}
