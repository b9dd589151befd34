/** One head, large: as a map, which arrow keys walk over, or as lines from words to words. */
import { KINDS, manifest } from "./data.js";
import { choice, fixed, h, moved, svg, token, visible } from "./dom.js";
import { cellStyle, thumbnail } from "./colour.js";
import { chooser } from "./chooser.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";
import { axes, view } from "./words.js";

const WINDOW = 40; // rows and columns drawn at once; further ones come as the cursor moves
const IN_FIGURES = 24; // columns up to which every cell has its number written in it

/** The names of a decoder row: the words it reads and predicts. Merged, only the one that counts. */
function rowLabels(kind, options, units) {
  if (KINDS[kind].queries === "source" || options.merged) return units.map((unit) => [unit.text]);
  const { reads, predicts } = Object.fromEntries(["reads", "predicts"].map((reading) => [reading, axes(kind, { reading }).queries]));
  return units.map((unit) => [reads[unit.places[0]].text, predicts[unit.places[0]].text]);
}

const spoken = (label) => label.map(visible).join(" → ");
const shownLabel = (label) => label.flatMap((piece, i) => [i > 0 && h("span", { class: "to" }, " → "), token(piece)]);

/** Switches for what the rows, columns and cells are. */
function switches() {
  const flip = (flag, on) => set({ flags: new Set([...state.flags].filter((f) => f !== flag).concat(on ? [flag] : [])) });
  const pair = (flag, label, off, on, hint) =>
    h("div", { class: "labelled" }, h("span", { class: "label", "aria-hidden": "true" }, t(label)),
      choice(flag, t(label), [[false, t(off)], [true, t(on), hint && t(hint)]], state.flags.has(flag), (value) => flip(flag, value)));
  return h("div", { class: "switches" },
    pair("words", "unit", "pieces", "words"),
    pair("norms", "measure", "weights", "norms", "normsHint"),
    pair("unmarked", "marks", "shown", "unshown", "marksHint"),
    KINDS[state.kind].queries === "target" && pair("reads", "reading", "predicts", "reads"),
    pair("lines", "drawing", "heat", "lines"));
}

/** The grid and, below it, the exact value under the cursor. */
function heatMap({ queries, keys, weights, lost }, labels) {
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  const row = (i) => queries[i].places[0];
  let [at, to] = [Math.max(queries.findIndex((unit) => unit.places.includes(state.query)), 0), Math.min(state.key, keys.length - 1)];
  let first = [0, 0]; // row and column in the window's corner
  const body = h("div", { class: "scroll" });
  const where = h("p", { class: "window" });
  let cells = [];

  const describe = (i, j) => t("looks", { query: spoken(labels[i]), key: visible(keys[j].text), weight: fixed(weights[i][j], 4) });
  function tell(i, j) {
    readout.textContent = describe(i, j) + (lost[i] > 0 ? ` · ${t("lostShare", { share: fixed(lost[i], 3) })}` : "");
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
    set({ query: row(i), key: j }, true);
  }
  function draw() {
    const corner = (x, count) => Math.max(0, Math.min(x - WINDOW / 2, count - WINDOW));
    first = [corner(at, queries.length), corner(to, keys.length)];
    const rows = queries.slice(first[0], first[0] + WINDOW).map((_, i) => i + first[0]);
    const columns = keys.slice(first[1], first[1] + WINDOW).map((_, j) => j + first[1]);
    cells = rows.map((i) => columns.map((j) => h("td", {
      role: "gridcell", tabindex: i === at && j === to ? 0 : -1, "aria-label": describe(i, j), style: cellStyle(weights[i][j]),
      "data-focus": i === at && j === to ? "cell" : null, onpointerenter: () => tell(i, j), onclick: () => go(i, j, true),
    }, keys.length <= IN_FIGURES && fixed(weights[i][j], 2).replace(/^0/, ""))));
    const table = h("table", { role: "grid", class: `heat ${columns.length > 9 ? "many" : ""}`, "aria-label": `${t("map")}. ${t("gridHelp")}`, "aria-rowcount": queries.length + 1, "aria-colcount": keys.length + 1 },
      h("thead", {}, h("tr", {}, h("td", { class: "corner" }, KINDS[state.kind].queries === "target" && labels[0].length > 1 ? t("readsPredicts") : t("queries")),
        columns.map((j) => h("th", { scope: "col", "data-column": j, class: keys[j].unknown ? "unknown" : null }, h("span", {}, token(keys[j].text)))))),
      h("tbody", {}, rows.map((i, n) => h("tr", {}, h("th", { scope: "row", "data-row": i, class: queries[i].unknown ? "unknown" : null }, shownLabel(labels[i])), cells[n]))));
    table.addEventListener("pointerleave", () => tell(at, to));
    body.replaceChildren(table);
    const all = rows.length === queries.length && columns.length === keys.length;
    where.replaceChildren(all ? "" : t("window", { a: rows[0] + 1, b: rows.at(-1) + 1, rows: queries.length, c: columns[0] + 1, d: columns.at(-1) + 1, columns: keys.length }));
    if (!all) where.append(miniature());
  }
  /** A long sentence whole and small; a click moves the window there. */
  function miniature() {
    const small = thumbnail(weights, {});
    const frame = h("span", { class: "frame", style: {
      left: `${(first[1] / keys.length) * 100}%`, top: `${(first[0] / queries.length) * 100}%`,
      width: `${Math.min(WINDOW / keys.length, 1) * 100}%`, height: `${Math.min(WINDOW / queries.length, 1) * 100}%` } });
    return h("span", { class: "miniature", onclick: (event) => {
      const box = small.getBoundingClientRect();
      go(Math.floor(((event.clientY - box.top) / box.height) * queries.length), Math.floor(((event.clientX - box.left) / box.width) * keys.length), true);
    } }, small, frame);
  }
  body.addEventListener("keydown", (event) => {
    if (event.key === "Enter") return set({ view: "walk", query: row(at) });
    const steps = { PageDown: [at + 10, to], PageUp: [at - 10, to], Home: [at, 0], End: [at, keys.length - 1] }[event.key];
    const along = { ArrowDown: [at + 1, to], ArrowUp: [at - 1, to], ArrowRight: [at, to + 1], ArrowLeft: [at, to - 1] }[event.key];
    const next = steps ?? along;
    if (!next || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(Math.min(Math.max(next[0], 0), queries.length - 1), Math.min(Math.max(next[1], 0), keys.length - 1), true);
  });
  draw();
  tell(at, to);
  return [body, where, readout, h("p", { class: "hint" }, t("gridHelp"))];
}

/** Words to the left and right, lines as thick as the weight; one query can be singled out. */
function lineView({ queries, keys, weights }, labels) {
  const [gap, width, top] = [30, 560, 26];
  const [left, right] = [200, width - 150];
  const height = top * 2 + gap * (Math.max(queries.length, keys.length) - 1) + 8;
  const y = (i, count) => top + (i + (Math.max(queries.length, keys.length) - count) / 2) * gap;
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  const lines = weights.flatMap((row, i) => row.map((w, j) => w >= 0.01 && svg("line", {
    class: "line", "data-query": i, x1: left + 10, x2: right - 10, y1: y(i, queries.length), y2: y(j, keys.length), "stroke-width": Math.max(10 * w, 0.4), "stroke-opacity": 0.15 + 0.75 * w,
  })));
  const picture = svg("svg", { class: "lines", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": t("map") }, lines);
  let active = Math.max(queries.findIndex((unit) => unit.places.includes(state.query)), 0);
  function light(i) {
    picture.querySelectorAll(".line").forEach((line) => line.classList.toggle("faded", Number(line.dataset.query) !== i));
    picture.querySelectorAll(".name").forEach((name, n) => name.classList.toggle("lit", n === i));
    const strongest = weights[i].map((w, j) => [w, j]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    readout.textContent = `${spoken(labels[i])}: ${strongest.map(([w, j]) => `${visible(keys[j].text)} ${fixed(w, 3)}`).join(" · ")}`;
  }
  const choose = (i, focus) => {
    picture.querySelectorAll(".name").forEach((name, n) => name.setAttribute("tabindex", n === i ? 0 : -1));
    active = i;
    light(i);
    if (focus) picture.querySelectorAll(".name")[i].focus();
    set({ query: queries[i].places[0] }, true);
  };
  const word = (text, x, yy, anchor, attributes) => svg("text", { ...attributes, x, y: yy + 5, "text-anchor": anchor, direction: "ltr" }, text);
  queries.forEach((_, i) => picture.append(word(spoken(labels[i]), left, y(i, queries.length), "end", {
    class: "name", tabindex: i === active ? 0 : -1, role: "button", onpointerenter: () => light(i), onpointerleave: () => light(active), onclick: () => choose(i, true),
    onkeydown: (event) => {
      const to = moved(event, i, queries.length);
      if (to !== null) choose(to, true);
      else if (event.key === "Enter") set({ view: "walk", query: queries[i].places[0] });
    },
  })));
  keys.forEach((key, j) => picture.append(word(visible(key.text), right, y(j, keys.length), "start", { class: "key-name" })));
  light(active);
  return [h("div", { class: "scroll" }, picture), readout];
}

export function headView() {
  const { kind, layer, head, flags } = state;
  const options = { merged: flags.has("words"), norms: flags.has("norms"), marks: !flags.has("unmarked"), reading: flags.has("reads") ? "reads" : "predicts" };
  const map = view(kind, layer, head, options);
  const labels = rowLabels(kind, options, map.queries);
  const empty = !map.queries.length || !map.keys.length;
  return h("div", { class: "head-view" },
    chooser({ query: false }),
    switches(),
    h("figure", { class: "stage" },
      h("figcaption", {}, t(kind), " · ", t("layerHead", { layer: layer + 1, head: head + 1 })),
      empty ? h("p", {}, t("nothing")) : flags.has("lines") ? lineView(map, labels) : heatMap(map, labels)),
    manifest.source.words.some((word) => !word.known) && h("p", { class: "hint" }, t("unknownLegend")));
}
