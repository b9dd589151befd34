/** The walk for the whole sentence at once: softmax(QKᵀ / √d) V as matrices. */
import { follow, hidden } from "./attention.js";
import { keyPieces, matrix, queryPieces } from "./data.js";
import { fixed, formula, h, token, visible } from "./dom.js";
import { largest, paint } from "./colour.js";
import { chooser } from "./chooser.js";
import { detailed, set, state } from "./state.js";
import { t } from "./strings.js";

const LABELLED = 24; // rows or columns up to which their pieces are named

/** A matrix as a picture with its name, its shape, the pieces of its rows and columns, and a frame around what is lit. */
export function picture(name, rows, { scale, pieces = [], above = [] }) {
  const [height, width] = [rows.length, rows[0].length];
  const canvas = h("canvas", { class: "pixels", role: "img", "aria-label": `${name}: ${height} × ${width}` });
  paint(canvas, rows, scale);
  const lit = [h("span", { class: "lit-row" }), h("span", { class: "lit-column" })];
  const element = h("figure", { class: "matrix" },
    h("figcaption", {}, h("strong", {}, name), " ", h("span", { class: "sub number" }, `${height} × ${width}`)),
    h("div", { class: "matrix-body", style: { "--rows": height, "--columns": width } },
      pieces.length <= LABELLED && h("div", { class: "side" }, pieces.map((piece) => token(piece))),
      above.length <= LABELLED && h("div", { class: "above" }, above.map((piece) => h("span", {}, token(piece)))),
      h("div", { class: "cells" }, canvas, lit)));
  /** Frame a row and a column; null frames none. */
  element.light = (row, column) => {
    const frame = (mark, i, count, edge, size) => {
      mark.hidden = i === null;
      mark.style.setProperty(edge, `${(i / count) * 100}%`);
      mark.style.setProperty(size, `${100 / count}%`);
    };
    frame(lit[0], row, height, "top", "height");
    frame(lit[1], column, width, "left", "width");
  };
  element.canvas = canvas;
  return element;
}

export function matrixView() {
  if (!detailed) return h("p", {}, t("noDetails"));
  const { kind, layer, head } = state;
  const [queries, keys] = [queryPieces(kind), keyPieces(kind)];
  const ways = queries.map((_, query) => follow(kind, layer, head, query));
  const { keys: K, values: V } = ways[0];
  const Q = matrix(`${kind}.queries`, layer, head);
  const d = Q[0].length;
  const transposed = Array.from({ length: d }, (_, i) => K.map((k) => k[i]));
  const scores = ways.map((way) => way.scaled.map((s, key) => (way.masked[key] === -Infinity ? NaN : s)));
  const mixed = ways.map((way) => way.mixed);
  const one = Math.max(largest(...Q), largest(...K));
  const parts = {
    Q: picture("Q", Q, { scale: one, pieces: queries }),
    K: picture("Kᵀ", transposed, { scale: one, above: keys }),
    scores: picture(t("matrixScores"), scores, { scale: largest(...scores.map((row) => row.filter(Number.isFinite))), pieces: queries, above: keys }),
    shares: picture(t("matrixShares"), ways.map((way) => way.weights), { scale: 1, pieces: queries, above: keys }),
    V: picture("V", V, { scale: largest(...V), pieces: keys }),
    value: picture(t("matrixValue"), mixed, { scale: largest(...V), pieces: queries }),
  };
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  function light(query, key) {
    parts.Q.light(query, null);
    parts.K.light(null, key);
    parts.scores.light(query, key);
    parts.shares.light(query, key);
    parts.V.light(key, null);
    parts.value.light(query, null);
    const way = ways[query];
    readout.replaceChildren(...formula(t(hidden(kind, query, key) ? "cellHidden" : "cellOf", {
      query: visible(queries[query]), key: visible(keys[key]), d,
      product: fixed(way.products[key]), scaled: fixed(way.scaled[key]), share: fixed(way.weights[key], 4),
    })));
  }
  const go = (query, key) => {
    const within = (x, list) => Math.min(Math.max(x, 0), list.length - 1);
    set({ query: within(query, queries), key: within(key, keys) }, true);
    light(state.query, state.key);
  };
  for (const { canvas } of [parts.scores, parts.shares]) {
    const place = (part, whole, list) => Math.min(Math.max(Math.floor((part / whole) * list.length), 0), list.length - 1);
    const under = ({ offsetX, offsetY }) => [place(offsetY, canvas.clientHeight, queries), place(offsetX, canvas.clientWidth, keys)];
    canvas.addEventListener("pointermove", (event) => light(...under(event)));
    canvas.addEventListener("pointerleave", () => light(state.query, state.key));
    canvas.addEventListener("click", (event) => go(...under(event)));
    canvas.tabIndex = 0;
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
      if (!by) return;
      event.preventDefault();
      go(state.query + by[0], state.key + by[1]);
    });
  }
  const sign = (text) => h("span", { class: "sign", "aria-hidden": "true" }, text);
  light(state.query, state.key);
  return h("div", { class: "matrix-view" }, chooser({ query: false }), h("p", { class: "lead" }, t("matrixSay")),
    h("div", { class: "stage" },
      h("div", { class: "equation" }, parts.Q, sign("×"), parts.K, sign(formula(`÷ √${d} =`)), parts.scores),
      h("div", { class: "equation" }, sign("softmax →"), parts.shares, sign("×"), parts.V, sign("="), parts.value),
      readout, h("p", { class: "hint" }, t("matrixPoint"), kind === "decoder_self" && ` ${t("matrixMasked")}`)),
    h("p", { class: "hint" }, h("span", { class: "swatch", "aria-hidden": "true" }), t("colours")));
}
