/** Is this an explanation? The weights beside what happens when a word, or a head, is really taken away. */
import { KINDS, allHeads, has, logprobs, manifest, matrix, predicts, source } from "./data.js";
import { choice, fixed, h, token, visible } from "./dom.js";
import { bar, cellStyle, largest } from "./colour.js";
import { headGrid } from "./chooser.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";

/** Shares of a cross-attention row on the English words, marks left out of the list but not of the sum. */
function onWords(row) {
  return manifest.source.words.map((word) => word.pieces.reduce((sum, piece) => sum + row[piece], 0));
}

/** The mean over all heads of cross-attention. */
function meanRow(query) {
  const sum = new Float64Array(source.length);
  for (const [layer, head] of allHeads("cross")) matrix("cross.weights", layer, head)[query].forEach((w, key) => (sum[key] += w));
  return sum.map((w) => w / allHeads("cross").length);
}

const top = (values) => values.indexOf(Math.max(...values));

/** In how many of the steps that write a word the most looked-at English word is also the one that costs most. */
function agreement() {
  const { layer, head } = state;
  const weights = matrix("cross.weights", layer, head);
  const losses = matrix("occlusion", 0);
  const { pieces, words } = manifest.target;
  const steps = predicts.map((_, i) => i).filter((i) => words[pieces[i + 1].word]?.punctuation === false);
  return { agree: steps.filter((i) => top(onWords(weights[i])) === top([...losses[i]])).length, all: steps.length };
}

/** The words of the English sentence, with what this head gives each and what leaving it out costs. */
function wordTable(query) {
  const { layer, head } = state;
  const own = onWords(matrix("cross.weights", layer, head)[query]);
  const mean = onWords(meanRow(query));
  const loss = [...matrix("occlusion", 0)[query]];
  const most = largest(loss);
  const cell = (x, most) => h("td", {}, h("span", { class: "measure" }, h("span", { class: "number" }, fixed(x)), bar(x, most)));
  const columns = ["checkAttention", "checkMean", "checkLoss"].map((key) => h("th", { scope: "col" }, t(key)));
  const rows = manifest.source.words.map((word, i) => h("tr", {},
    h("th", { scope: "row", class: !word.known && "unknown" }, token(word.text)),
    cell(own[i], 1), cell(mean[i], 1), cell(loss[i], most)));
  return h("div", { class: "scroll" }, h("table", { class: "keys" },
    h("thead", {}, h("tr", {}, h("td"), columns)), h("tbody", {}, rows)));
}

/** What each head is worth, of all three attentions. */
function ablations(kind) {
  const values = manifest.measures[kind].ablation;
  const most = largest(...Object.keys(KINDS).map((name) => manifest.measures[name].ablation.flat()));
  const rows = values.map((row, layer) => h("tr", {},
    h("th", { scope: "row" }, String(layer + 1)), row.map((x) => h("td", { style: cellStyle(x / most) }, fixed(x)))));
  return h("table", { class: "heat small" }, h("caption", {}, t(kind)), h("tbody", {}, rows));
}

export function checkView() {
  if (!has("occlusion") || !manifest.measures.cross.ablation) return h("p", {}, t("noDetails"));
  const { layer, head } = state;
  const query = Math.min(state.query, predicts.length - 1);
  const items = predicts.map((piece, i) => [i, token(piece), t("checkRow", { predicts: visible(piece) })]);
  const predicted = t("predicted", { p: fixed(Math.exp(logprobs()[query])) });
  return h("div", { class: "check" },
    h("p", { class: "lead" }, t("checkSay")),
    h("div", { class: "chooser" },
      h("div", { class: "chooser-left" },
        h("div", { class: "labelled" },
          h("span", { class: "label", "aria-hidden": "true" }, t("predicts")),
          choice("query", t("predicts"), items, query, (i) => set({ query: i }), { class: "choice queries" })),
        h("p", { class: "note" }, t("checkAgree", agreement()))),
      h("div", { class: "chooser-heads" },
        headGrid("cross"), h("p", { class: "label" }, t("cross"), " · ", t("layerHead", { layer: layer + 1, head: head + 1 })))),
    h("section", { class: "stage" },
      h("h2", {}, token(predicts[query]), " ", h("span", { class: "sub number" }, predicted)),
      wordTable(query)),
    h("section", { class: "stage" },
      h("h2", {}, t("checkHeads")),
      h("p", { class: "hint" }, t("checkHeadsSay")),
      h("div", { class: "ablations" }, Object.keys(KINDS).map(ablations))),
    h("p", { class: "hint" }, t("checkRead")));
}
