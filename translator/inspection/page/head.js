/** One head, large: as a map, which arrow keys walk over, or as lines from words to words. */
import { KINDS, manifest, predicts, reads } from "./data.js";
import { choice, fixed, h, moved, svg, token, visible } from "./dom.js";
import { cellStyle, thumbnail } from "./colour.js";
import { chooser } from "./chooser.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";
import { view } from "./words.js";

const WINDOW = 40; // rows and columns drawn at once; further ones come as the cursor moves
const IN_FIGURES = 24; // columns up to which every cell has its number written in it

/** The names of a decoder row: the pieces it reads and predicts. Merged, only the word that counts. */
function rowLabels(kind, options, units) {
  if (KINDS[kind].queries === "source" || options.merged) return units.map((unit) => [unit.text]);
  return units.map(({ places: [step] }) => [reads[step], predicts[step]]);
}

const within = (x, count) => Math.min(Math.max(x, 0), count - 1);
const spoken = (label) => label.map(visible).join(" → ");

/** A row's name as elements; of a step's two pieces the one that the row does not count for is drawn softer. */
function shownLabel(label) {
  if (label.length === 1) return token(label[0]);
  const counted = state.flags.has("reads") ? 0 : 1;
  return [token(label[0]), " → ", token(label[1])].map((part, i) => h("span", { class: i !== 2 * counted && "to" }, part));
}

/** Switches for what the rows, columns and cells are. */
function switches() {
  const flip = (flag, on) => set({ flags: new Set([...state.flags].filter((f) => f !== flag).concat(on ? [flag] : [])) });
  const pair = (flag, label, off, on, hint) => {
    const items = [[false, t(off)], [true, t(on), hint && t(hint)]];
    return h("div", { class: "labelled" },
      h("span", { class: "label", "aria-hidden": "true" }, t(label)),
      choice(flag, t(label), items, state.flags.has(flag), (value) => flip(flag, value)));
  };
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
  let at = Math.max(queries.findIndex((unit) => unit.places.includes(state.query)), 0);
  let to = Math.max(keys.findIndex((unit) => unit.places.includes(state.key)), 0);
  let first = [0, 0]; // row and column in the window's corner
  const body = h("div", { class: "scroll" });
  const where = h("p", { class: "window" });
  let cells = [];

  const value = t(state.flags.has("norms") ? "norms" : "weights");
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
    const start = (x, count) => Math.max(0, Math.min(x - WINDOW / 2, count - WINDOW));
    first = [start(at, queries.length), start(to, keys.length)];
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
      const [a, b, c, d] = [rows[0], rows.at(-1), columns[0], columns.at(-1)].map((place) => place + 1);
      where.append(t("window", { a, b, c, d, rows: queries.length, columns: keys.length }), miniature());
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

/** Words to the left and right, lines as thick as the weight; one query can be singled out. */
function lineView({ queries, keys, weights }, labels) {
  const wide = (text) => [...text].reduce((sum, c) => sum + (c < "\u2E80" ? 8 : 14), 10); // px, at most, of a name
  const [gap, top, across] = [30, 26, 200];
  const left = Math.max(...labels.map((label) => wide(spoken(label))));
  const right = left + across;
  const width = right + Math.max(...keys.map((key) => wide(visible(key.text))));
  const most = Math.max(queries.length, keys.length);
  const y = (i, count) => top + (i + (most - count) / 2) * gap;
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  const lines = weights.flatMap((row, i) => row.map((w, j) => w >= 0.01 && svg("line", {
    class: "line", "data-query": i, x1: left + 10, x2: right - 10, y1: y(i, queries.length), y2: y(j, keys.length),
    "stroke-width": Math.max(10 * w, 0.4), "stroke-opacity": 0.15 + 0.75 * w,
  })));
  const picture = svg("svg", {
    class: "lines", viewBox: `0 0 ${width} ${2 * top + gap * (most - 1) + 8}`, role: "group", "aria-label": t("map"), style: { "max-width": `${1.2 * width}px` },
  }, lines);
  let active = Math.max(queries.findIndex((unit) => unit.places.includes(state.query)), 0);
  function light(i) {
    picture.querySelectorAll(".line").forEach((line) => line.classList.toggle("faded", Number(line.dataset.query) !== i));
    picture.querySelectorAll(".name").forEach((name, n) => name.classList.toggle("lit", n === i));
    const strongest = weights[i].map((w, j) => [w, visible(keys[j].text)]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    readout.textContent = `${spoken(labels[i])}: ${strongest.map(([w, key]) => `${key} ${fixed(w, 3)}`).join(" · ")}`;
  }
  const choose = (i, focus) => {
    picture.querySelectorAll(".name").forEach((name, n) => name.setAttribute("tabindex", n === i ? 0 : -1));
    active = i;
    light(i);
    if (focus) picture.querySelectorAll(".name")[i].focus();
    set({ query: queries[i].places[0] }, true);
  };
  const word = (text, attributes) => svg("text", { direction: "ltr", ...attributes }, text);
  queries.forEach((_, i) => picture.append(word(spoken(labels[i]), {
    class: "name", x: left, y: y(i, queries.length) + 5, "text-anchor": "end", tabindex: i === active ? 0 : -1, role: "button",
    onpointerenter: () => light(i), onpointerleave: () => light(active), onclick: () => choose(i, true),
    onkeydown: (event) => {
      const to = moved(event, i, queries.length);
      if (to !== null) choose(to, true);
      else if (event.key === "Enter") set({ view: "walk", query: queries[i].places[0] });
    },
  })));
  keys.forEach((key, j) => picture.append(word(visible(key.text), { x: right, y: y(j, keys.length) + 5 })));
  light(active);
  return [h("div", { class: "scroll" }, picture), readout];
}

export function headView() {
  const { kind, layer, head, flags } = state;
  const options = {
    merged: flags.has("words"), norms: flags.has("norms"), marks: !flags.has("unmarked"),
    reading: flags.has("reads") ? "reads" : "predicts",
  };
  const map = view(kind, layer, head, options);
  const labels = rowLabels(kind, options, map.queries);
  const empty = !map.queries.length || !map.keys.length;
  return h("div", { class: "head-view" },
    chooser({ query: false }),
    switches(),
    h("figure", { class: "stage" },
      h("figcaption", {}, t(kind), " · ", t("layerHead", { layer: layer + 1, head: head + 1 })),
      empty ? h("p", {}, t("nothing")) : flags.has("lines") ? lineView(map, labels) : heatMap(map, labels)),
    !options.merged && h("p", { class: "hint" }, t("pieceNote")),
    manifest.source.words.some((word) => !word.known) && h("p", { class: "hint" }, t("unknownLegend")));
}
