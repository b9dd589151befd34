/** One head as lines from words to words. */
import { fixed, h, moved, svg, visible } from "./dom.js";
import { WINDOW, firstShown, spoken, windowed } from "./labels.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";

/** Words to the left and right, lines as thick as the weight; one query can be singled out. */
export function lineView({ queries, keys, weights }, labels) {
  let active = Math.max(queries.findIndex((unit) => unit.places.includes(state.query)), 0);
  const long = queries.length > WINDOW || keys.length > WINDOW; // then only what is near the chosen query and its top key
  const shown = (list, around) => list.map((_, i) => i).slice(firstShown(around, list.length)).slice(0, WINDOW);
  const rows = shown(queries, active);
  const columns = shown(keys, weights[active].indexOf(Math.max(...weights[active])));
  const wide = (text) => [...text].reduce((sum, c) => sum + (c < "\u2E80" ? 8 : 14), 10); // px, at most, of a name
  const [gap, top, across] = [30, 26, 200];
  const left = Math.max(...rows.map((i) => wide(spoken(labels[i]))));
  const right = left + across;
  const width = right + Math.max(...columns.map((j) => wide(visible(keys[j].text))));
  const most = Math.max(rows.length, columns.length);
  const y = (place, list) => top + (place + (most - list.length) / 2) * gap;
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  const lines = rows.flatMap((i, r) => columns.map((j, c) => weights[i][j] >= 0.01 && svg("line", {
    class: "line", "data-query": i, x1: left + 10, x2: right - 10, y1: y(r, rows), y2: y(c, columns),
    "stroke-width": Math.max(10 * weights[i][j], 0.4), "stroke-opacity": 0.15 + 0.75 * weights[i][j],
  })));
  const picture = svg("svg", {
    class: "lines", viewBox: `0 0 ${width} ${2 * top + gap * (most - 1) + 8}`, role: "group", "aria-label": t("map"), style: { "max-width": `${1.2 * width}px` },
  }, lines);
  const names = new Map(); // of queries
  function light(i) {
    picture.querySelectorAll(".line").forEach((line) => line.classList.toggle("faded", Number(line.dataset.query) !== i));
    names.forEach((name, query) => name.classList.toggle("lit", query === i));
    const strongest = weights[i].map((w, j) => [w, visible(keys[j].text)]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    readout.textContent = `${spoken(labels[i])}: ${strongest.map(([w, key]) => `${key} ${fixed(w, 3)}`).join(" · ")}`;
  }
  function choose(i) {
    active = i;
    set({ query: queries[i].places[0] }, !long); // a long sentence is drawn anew, around the choice
    if (long) return;
    names.forEach((name, query) => name.setAttribute("tabindex", query === i ? 0 : -1));
    light(i);
    names.get(i).focus();
  }
  const word = (text, attributes) => svg("text", { direction: "ltr", ...attributes }, text);
  rows.forEach((i, r) => names.set(i, word(spoken(labels[i]), {
    class: "name", x: left, y: y(r, rows) + 5, "text-anchor": "end", tabindex: i === active ? 0 : -1, role: "button", "data-focus": i === active && "name",
    onpointerenter: () => light(i), onpointerleave: () => light(active), onclick: () => choose(i),
    onkeydown: (event) => {
      const to = moved(event, i, queries.length);
      if (to !== null) choose(to);
      else if (event.key === "Enter") set({ view: "walk", query: queries[i].places[0] });
    },
  })));
  picture.append(...names.values(), ...columns.map((j, c) => word(visible(keys[j].text), { x: right, y: y(c, columns) + 5 })));
  light(active);
  return [h("div", { class: "scroll" }, picture), long && h("p", { class: "window" }, windowed(rows, columns, queries, keys)), readout];
}
