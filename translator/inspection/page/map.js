/** One head as a map of cells, which arrow keys walk over. */
import { fixed, h, token, visible } from "./dom.js";
import { cellStyle, thumbnail } from "./colour.js";
import { WINDOW, firstShown, shownLabel, spoken, windowed } from "./labels.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";

const IN_FIGURES = 24; // columns up to which every cell has its number written in it

const within = (x, count) => Math.min(Math.max(x, 0), count - 1);

/** The grid and, below it, the exact value under the cursor. */
export function heatMap({ queries, keys, weights, lost }, labels) {
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  const row = (i) => queries[i].places[0];
  let at = Math.max(queries.findIndex((unit) => unit.places.includes(state.query)), 0);
  let to = Math.max(keys.findIndex((unit) => unit.places.includes(state.key)), 0);
  let first = [0, 0]; // row and column in the window's corner
  const body = h("div", { class: "scroll" });
  const where = h("p", { class: "window" });
  let cells = [];

  const value = t(state.flags.has("norms") ? "norm" : "weight");
  const describe = (i, j) =>
    t("looks", { query: spoken(labels[i]), key: visible(keys[j].text), weight: fixed(weights[i][j], 4) });
  function tell(i, j) {
    const said = (name, ...content) => h("span", { class: "said" }, h("span", { class: "label" }, name), " ", content);
    readout.replaceChildren(
      said(t("query"), shownLabel(labels[i])), said(t("key"), token(keys[j].text)), said(value, h("strong", {}, fixed(weights[i][j], 4))),
      lost[i] > 0 ? h("span", { class: "said sub" }, t("lostShare", { share: fixed(lost[i], 3) })) : "");
    body.querySelectorAll(".lit").forEach((cell) => cell.classList.remove("lit"));
    body.querySelector(`[data-row="${i}"]`)?.classList.add("lit");
    body.querySelector(`[data-column="${j}"]`)?.classList.add("lit");
  }
  function go(i, j, focus) {
    [at, to] = [i, j];
    const inside = i >= first[0] && i < first[0] + WINDOW && j >= first[1] && j < first[1] + WINDOW;
    if (!inside) draw();
    for (const cell of body.querySelectorAll("td[tabindex='0']")) cell.tabIndex = -1;
    const cell = cells[i - first[0]][j - first[1]];
    cell.tabIndex = 0;
    if (focus) cell.focus();
    tell(i, j);
    set({ query: row(i), key: keys[j].places[0] }, true);
  }
  function drawn(i, j) {
    const here = i === at && j === to;
    return h("td", {
      role: "gridcell", tabindex: here ? 0 : -1, "data-focus": here && "cell", "aria-label": describe(i, j),
      style: cellStyle(weights[i][j]), onpointerenter: () => tell(i, j), onclick: () => go(i, j, true),
    }, keys.length <= IN_FIGURES && fixed(weights[i][j], 2).replace(/^0/, ""));
  }
  function draw() {
    first = [firstShown(at, queries.length), firstShown(to, keys.length)];
    const rows = queries.slice(first[0], first[0] + WINDOW).map((_, i) => i + first[0]);
    const columns = keys.slice(first[1], first[1] + WINDOW).map((_, j) => j + first[1]);
    cells = rows.map((i) => columns.map((j) => drawn(i, j)));
    const head = (scope, place, unit, ...label) =>
      h("th", { scope, [scope === "col" ? "data-column" : "data-row"]: place, class: unit.unknown && "unknown" }, label);
    const corner = labels[0].length > 1 ? t("readsPredicts") : t("queries");
    body.replaceChildren(h("table", {
      role: "grid", class: `heat ${columns.length > 9 ? "many" : ""}`, style: { "--columns": columns.length }, "aria-label": `${t("map")}. ${t("gridHelp")}`,
      "aria-rowcount": queries.length + 1, "aria-colcount": keys.length + 1, onpointerleave: () => tell(at, to),
    },
      h("thead", {}, h("tr", {}, h("td", { class: "corner" }, corner),
        columns.map((j) => head("col", j, keys[j], h("span", {}, token(keys[j].text)))))),
      h("tbody", {}, rows.map((i, n) => h("tr", {}, head("row", i, queries[i], shownLabel(labels[i])), cells[n])))));
    where.replaceChildren();
    if (rows.length < queries.length || columns.length < keys.length) {
      where.append(windowed(rows, columns, queries, keys), miniature());
    }
  }
  /** A long sentence whole and small; a click moves the window there. */
  function miniature() {
    const percent = (part, whole) => `${Math.min(part / whole, 1) * 100}%`;
    const frame = h("span", { class: "frame", style: {
      left: percent(first[1], keys.length), width: percent(WINDOW, keys.length),
      top: percent(first[0], queries.length), height: percent(WINDOW, queries.length),
    } });
    const small = thumbnail(weights, { onclick: (event) => {
      const place = (part, whole, count) => Math.min(Math.floor((part / whole) * count), count - 1);
      go(place(event.offsetY, small.clientHeight, queries.length), place(event.offsetX, small.clientWidth, keys.length), true);
    } });
    return h("span", { class: "miniature" }, small, frame);
  }
  body.addEventListener("keydown", (event) => {
    if (event.key === "Enter") return set({ view: "walk", query: row(at) });
    const next = {
      ArrowDown: [at + 1, to], ArrowUp: [at - 1, to], ArrowRight: [at, to + 1], ArrowLeft: [at, to - 1],
      PageDown: [at + 10, to], PageUp: [at - 10, to], Home: [at, 0], End: [at, keys.length - 1],
    }[event.key];
    if (!next || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(within(next[0], queries.length), within(next[1], keys.length), true);
  });
  draw();
  tell(at, to);
  return [body, where, readout, h("p", { class: "hint" }, t("gridHelp"))];
}
