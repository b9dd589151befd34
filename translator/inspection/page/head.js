/** One head, large: as a map or as lines, in pieces or words, of weights or norms. */
import { KINDS, manifest, predicts, reads } from "./data.js";
import { choice, h } from "./dom.js";
import { chooser } from "./chooser.js";
import { lineView } from "./lines.js";
import { heatMap } from "./map.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";
import { view } from "./words.js";

/** The names of a decoder row: the pieces it reads and predicts. Merged, only the word that counts. */
function rowLabels(kind, options, units) {
  if (KINDS[kind].queries === "source" || options.merged) return units.map((unit) => [unit.text]);
  return units.map(({ places: [step] }) => [reads[step], predicts[step]]);
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
