/** The names of a map's rows, and which part of a long map is shown. */
import { h, token, visible } from "./dom.js";
import { state } from "./state.js";
import { t } from "./strings.js";

export const WINDOW = 40; // rows and columns drawn at once; further ones come as the cursor moves

/** The first of WINDOW places around `x`, of `count`. */
export const firstShown = (x, count) => Math.max(0, Math.min(x - WINDOW / 2, count - WINDOW));

/** What part of a long map is shown. */
export function windowed(rows, columns, queries, keys) {
  const [a, b, c, d] = [rows[0], rows.at(-1), columns[0], columns.at(-1)].map((place) => place + 1);
  return t("window", { a, b, c, d, rows: queries.length, columns: keys.length });
}

/** A row's name as it is spoken, or written without markup. */
export const spoken = (label) => label.map(visible).join(" → ");

/** A row's name as elements; of a step's two pieces the one that the row does not count for is drawn softer. */
export function shownLabel(label) {
  if (label.length === 1) return token(label[0]);
  const counted = state.flags.has("reads") ? 0 : 1;
  return [token(label[0]), " → ", token(label[1])].map((part, i) => h("span", { class: i !== 2 * counted && "to" }, part));
}
