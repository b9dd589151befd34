/** A table with a row a key, as most steps of the walk have it, and rows that appear one after the other. */
import { keyPieces } from "./data.js";
import { h, token } from "./dom.js";
import { state } from "./state.js";
import { t } from "./strings.js";

/** Of elements that come one a tick: show those begun by `now`, the last of them as the current one until all are there. */
export function reveal(elements, now) {
  const begun = Math.ceil(now);
  elements.forEach((element, i) => {
    element.classList.toggle("pending", i >= begun);
    element.classList.toggle("current", i === begun - 1 && now < elements.length);
  });
}

/** The key whose row is the current one at `now`; the chosen key when all are there. */
export const currentKey = (now) => (now >= keyPieces(state.kind).length ? state.key : Math.max(Math.ceil(now) - 1, 0));

/**
 * The table. `cells(key)` gives what stands after a key's name, text as a number; `foot(now)` the row of sums;
 * `masked` rows are greyed; `choose(key)` is called when a row is pressed.
 */
export function keyTable(headings, cells, { masked = () => false, foot = null, choose }) {
  const rows = keyPieces(state.kind).map((piece, key) => h("tr", {
    class: `${masked(key) ? "masked" : ""} ${key === state.key ? "chosen" : ""}`, onclick: () => choose(key),
  }, h("th", { scope: "row" }, token(piece)), cells(key).map(cell)));
  const figures = cells(0).map((content) => typeof content === "string");
  const head = headings.map((name, i) => (name ? h("th", { scope: "col", class: figures[i] && "number" }, name) : h("td")));
  const sums = foot && h("tr", {}, h("th", { scope: "row" }, t("colSum")), foot.map(cell));
  const table = h("div", { class: "scroll" }, h("table", { class: "keys" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("colToken")), head)),
    h("tbody", {}, rows),
    sums && h("tfoot", {}, sums)));
  return { rows, table, sums: sums && [...sums.querySelectorAll("td")] };
}

const cell = (content) => h("td", { class: typeof content === "string" && "number" }, content);
