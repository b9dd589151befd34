/** Is this an explanation? The weights beside what happens when a word, or a head, is really taken away. */
import { KINDS, has, layers, logprobs, manifest, matrix, predicts } from "./data.js";
import { choice, fixed, h, token, visible } from "./dom.js";
import { cellStyle, largest } from "./colour.js";
import { headGrid } from "./chooser.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";

/** Shares of a cross-attention row on the English words, marks left out of the list but not of the sum. */
function onWords(row) {
  return manifest.source.words.map((word) => word.pieces.reduce((sum, piece) => sum + row[piece], 0));
}

/** The mean over all heads of cross-attention. */
function meanRow(query) {
  const rows = Array.from({ length: layers("cross") }, (_, l) => Array.from({ length: manifest.model.heads }, (_, n) => matrix("cross.weights", l, n)[query])).flat();
  return rows[0].map((_, key) => rows.reduce((sum, row) => sum + row[key], 0) / rows.length);
}

const top = (values) => values.indexOf(Math.max(...values));

/** The words of the English sentence, with what this head gives each and what leaving it out costs. */
function wordTable(query) {
  const { layer, head } = state;
  const own = onWords(matrix("cross.weights", layer, head)[query]);
  const mean = onWords(meanRow(query));
  const loss = [...matrix("occlusion", 0)[query]];
  const most = largest(loss);
  const cell = (x, size, negative) => [h("td", { class: "number" }, fixed(x)), h("td", {}, h("span", { class: "bar-cell", "aria-hidden": "true" }, h("span", { class: negative ? "less" : "", style: { width: `${size * 100}%` } })))];
  return h("div", { class: "scroll" }, h("table", { class: "keys" },
    h("thead", {}, h("tr", {}, h("td"), ["checkAttention", "checkMean", "checkLoss"].map((key) => h("th", { scope: "col", colspan: 2 }, t(key))))),
    h("tbody", {}, manifest.source.words.map((word, i) => h("tr", {}, h("th", { scope: "row", class: word.known ? null : "unknown" }, token(word.text)),
      cell(own[i], own[i]), cell(mean[i], mean[i]), cell(loss[i], Math.abs(loss[i]) / most, loss[i] < 0))))));
}

/** What each head is worth, of all three attentions. */
function ablations(kind) {
  const values = manifest.measures[kind].ablation;
  const most = Math.max(...Object.keys(KINDS).flatMap((k) => manifest.measures[k].ablation.flat().map(Math.abs)), 1e-9);
  return h("table", { class: "heat small" }, h("caption", {}, t(kind)),
    h("tbody", {}, values.map((row, l) => h("tr", {}, h("th", { scope: "row" }, String(l + 1)), row.map((x) => h("td", { style: cellStyle(x / most) }, fixed(x, 3)))))));
}

export function checkView() {
  if (!has("occlusion") || !manifest.measures.cross.ablation) return h("p", {}, t("noDetails"));
  const { layer, head } = state;
  const query = Math.min(state.query, predicts.length - 1);
  const items = predicts.map((piece, i) => [i, token(piece), t("checkRow", { predicts: visible(piece) })]);
  const counted = manifest.target.pieces.slice(1).map((piece, i) => [piece, i]).filter(([piece]) => piece.word !== null && !manifest.target.words[piece.word].punctuation).map(([, i]) => i);
  const agree = counted.filter((i) => top(onWords(matrix("cross.weights", layer, head)[i])) === top([...matrix("occlusion", 0)[i]])).length;
  return h("div", { class: "check" },
    h("p", { class: "lead" }, t("checkSay")),
    h("div", { class: "chooser" },
      h("div", { class: "chooser-left" }, h("div", { class: "labelled" }, h("span", { class: "label", "aria-hidden": "true" }, t("predicts")), choice("query", t("predicts"), items, query, (q) => set({ query: q }), { class: "choice queries" })),
        h("p", { class: "note" }, t("checkAgree", { agree, all: counted.length }))),
      h("div", { class: "chooser-heads" }, headGrid("cross"), h("p", { class: "label" }, t("cross"), " · ", t("layerHead", { layer: layer + 1, head: head + 1 })))),
    h("section", { class: "stage" }, h("h2", {}, t("checkRow", { predicts: visible(predicts[query]) }), " ", h("span", { class: "sub number" }, t("probability", { p: fixed(Math.exp(logprobs()[query]), 3) }))), wordTable(query)),
    h("section", { class: "stage" }, h("h2", {}, t("checkHeads")), h("p", { class: "hint" }, t("checkHeadsSay")), h("div", { class: "ablations" }, Object.keys(KINDS).map(ablations))),
    h("p", { class: "hint" }, t("checkRead")));
}
