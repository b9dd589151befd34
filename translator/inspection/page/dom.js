/** Elements, numbers and tokens as text. Nothing in the page writes HTML: a token can never become markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. Attributes that are functions listen (`onclick`), `style` is an object of properties, true gives
 * an empty attribute, false, null and undefined none. Children are elements, or text; null and false are skipped.
 */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const child of children.flat(3)) if (child != null && child !== false) element.append(child);
  return element;
}

/** A number with a fixed count of decimals and the true minus sign, which is as wide as a digit. */
export function fixed(x, decimals = 3) {
  if (x === -Infinity) return "−∞";
  const text = Math.abs(x) >= 1e5 ? x.toExponential(1).replace("+", "") : x.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replaceAll("-", "−");
}

/** A small positive number by its size: 8e−8. */
export function tiny(x) {
  return x === 0 ? "0" : x.toExponential(0).replace("-", "−").replace("+", "");
}

/** A factor of a product: in brackets if negative. */
export const signed = (x) => (fixed(x, 2).startsWith("−") ? `(${fixed(x, 2)})` : fixed(x, 2));

/** A text with its formulas set: what stands after _, and ₁ and ₂ (which the font lacks), low; what follows √ under it. */
export function formula(text) {
  return text.split(/(_[A-Za-z]|[₁₂]|√\w+)/).map((part, i) => {
    if (i % 2 === 0) return part;
    if (part.startsWith("√")) return h("span", { class: "root" }, "√", h("span", { class: "radicand" }, part.slice(1), h("span", { class: "vinculum" })));
    return h("sub", {}, { "₁": "1", "₂": "2" }[part] ?? part.slice(1));
  });
}

/** A piece as it can be seen: what would be invisible becomes its code point, a lone accent gets a ring. */
export function visible(piece) {
  const shown = piece.replace(/[\p{Cc}\p{Cf}\p{Z}\p{Co}]/gu, (c) =>
    (c === "\u200D" || c === " ") && piece.trim().length > 1 ? c : `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  return /^\p{M}/u.test(shown) ? "◌" + shown : shown;
}

/** A piece as an element; its ▁ (a space) is drawn faint, and right-to-left text stays inside. */
export function token(piece, attributes) {
  const [, space, rest] = /^(▁?)(.*)$/su.exec(visible(piece));
  const mark = /^<.*>$/u.test(piece);
  return h("bdi", { ...attributes, class: "token" + (mark ? " mark" : "") }, space && rest ? h("span", { class: "space" }, space) : space, rest);
}

/** Which of a radio group's items an arrow key moves to from `index`; null for other keys. Columns 1 is a list. */
export function moved(event, index, count, columns = 1) {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  const to = event.key === "Home" ? 0 : event.key === "End" ? count - 1 : by === undefined ? null : index + by;
  if (to === null || event.altKey || event.ctrlKey || event.metaKey) return null;
  event.preventDefault();
  event.stopPropagation();
  return Math.min(Math.max(to, 0), count - 1);
}

/**
 * Buttons of which one is chosen (a radio group): `items` are [value, label] pairs, one tab stop, arrows choose.
 * `name` keeps the focus in place when the page is drawn anew.
 */
export function choice(name, label, items, chosen, choose, rest = {}) {
  const index = Math.max(items.findIndex(([value]) => value === chosen), 0);
  const buttons = items.map(([value, content, hint], i) =>
    h("button", {
      type: "button", role: "radio", "aria-checked": String(i === index), tabindex: i === index ? 0 : -1,
      "aria-label": hint, title: hint, onclick: () => choose(value),
    }, content));
  return h("div", {
    role: "radiogroup", "aria-label": label, class: "choice", "data-focus": name, ...rest,
    onkeydown: (event) => {
      const to = moved(event, index, items.length);
      if (to !== null && to !== index) choose(items[to][0]);
    },
  }, buttons);
}
