/** The Transformer as it is, with every head of its three attentions where it works. */
import { manifest, predicts, reads, source } from "./data.js";
import { choice, fixed, h, svg, token } from "./dom.js";
import { headGrid } from "./chooser.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";

const SHOWN = 40; // pieces of a sentence

/** The figures there are of every head, in the order they are shown. */
const FIGURES = ["aer", "entropy", "confidence", "mark_share", "diagonality", "ablation"];
const figures = () => FIGURES.filter((name) => manifest.measures.cross[name]);

/** A head's figure, or null where that attention has none. */
function figure(name, kind, layer, head) {
  const value = manifest.measures[kind][name]?.[layer]?.[head];
  return value == null ? null : fixed(value, name === "ablation" ? 3 : 2);
}

function attentionBlock(kind) {
  return h("div", { class: `block attention ${state.kind === kind ? "chosen" : ""}`, "data-block": kind },
    h("h3", {}, t(kind), h("span", { class: "sub" }, t(`${kind}_says`))),
    headGrid(kind, { note: (layer, head) => figure(state.measure, kind, layer, head), name: "overview" }));
}

const plain = (key) => h("div", { class: "block" }, t(key));
const arrow = () => h("div", { class: "up", "aria-hidden": "true" }, "↑");

/** What goes in or comes out; of a long sentence the beginning. */
function tokens(pieces, label) {
  const rest = pieces.length - SHOWN;
  return h("div", { class: "tokens" }, h("span", { class: "label" }, label),
    h("span", {}, pieces.slice(0, SHOWN).map((piece) => token(piece)), rest > 0 && h("span", { class: "sub" }, `… +${rest}`)));
}

function stack(name, count, ...blocks) {
  return h("section", { class: "stack", "data-block": name, "aria-label": t(name) },
    h("h2", {}, t(name), h("span", { class: "sub" }, t("times", { n: count }))), blocks);
}

/** The keys and values that go across, drawn where the blocks have come to lie. */
export function drawTies(diagram = document.querySelector(".transformer")) {
  if (!diagram) return;
  const lines = diagram.querySelector(".ties");
  const box = diagram.getBoundingClientRect();
  const place = (name) => {
    const b = diagram.querySelector(`[data-block="${name}"]`).getBoundingClientRect();
    return { left: b.left - box.left, right: b.right - box.left, top: b.top - box.top, height: b.height };
  };
  const [from, to] = [place("encoder"), place("cross")];
  const beside = from.right < to.left;
  lines.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  lines.replaceChildren(...["tieK", "tieV"].flatMap((name, i) => {
    const y = to.top + to.height / 2 + (i ? 11 : -11);
    const end = to.left - 1;
    const x = beside ? (from.left + from.right) / 2 + (i ? 11 : -11) : from.left - (i ? 7 : 15);
    const below = from.top + (i ? 20 : 30); // where a line leaves an encoder that stands under the decoder
    const turn = `V${y + 6}Q${x} ${y} ${x + 6} ${y}`;
    const level = beside && y > from.top - 12; // beside a tall encoder the lines go straight over
    const start = level ? `M${from.right} ${y}` : beside ? `M${x} ${from.top}${turn}` : `M${from.left} ${below}H${x + 6}Q${x} ${below} ${x} ${below - 6}${turn}`;
    return [
      svg("path", { class: "tie", d: `${start}H${end - 5}` }),
      svg("path", { class: "tip", d: `M${end} ${y}l-8 -4v8z` }),
      svg("text", { class: "tie-name", x: beside ? (from.right + to.left) / 2 : x, y: y + (i ? 15 : -6) }, t(name)),
    ];
  }));
}

function measures() {
  const { kind, layer, head } = state;
  const { best } = manifest;
  const isBest = best && kind === "cross" && best.layer === layer && best.head === head;
  return h("aside", { class: "panel", "aria-label": t("layerHead", { layer: layer + 1, head: head + 1 }) },
    h("p", { class: "label" }, t(kind)),
    h("h2", {}, t("layerHead", { layer: layer + 1, head: head + 1 })),
    isBest && best.chosen_by !== "hand" && h("p", { class: "note" }, t("bestBy", { by: t(best.chosen_by) })),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: () => set({ view: "walk", step: 1 }) }, t("walkHead")),
      h("button", { type: "button", onclick: () => set({ view: "head" }) }, t("lookHead"))),
    h("dl", {}, figures().map((name) => {
      const value = figure(name, kind, layer, head);
      return value && h("div", {},
        h("dt", {}, t(name)), h("dd", { class: "number" }, value), h("dd", { class: "is" }, t(`${name}_is`)));
    })));
}

export function overview() {
  const { encoder_layers, decoder_layers } = manifest.model;
  const items = figures().map((name) => [name, t(name), t(`${name}_is`)]);
  const diagram = h("div", { class: "transformer" },
    h("div", { class: "intro" },
      h("p", {}, t(state.theme === "dark" ? "overviewHintDark" : "overviewHint")),
      h("p", { class: "hint" }, t("pieceNote")),
      h("p", { class: "label" }, t("under")),
      choice("measure", t("under"), items, state.measure, (measure) => set({ measure }))),
    h("div", { class: "column encoder" },
      stack("encoder", encoder_layers, plain("feedForward"), arrow(), attentionBlock("encoder_self")),
      arrow(), plain("embedding"), arrow(), tokens(source, t("sourceIn"))),
    h("div", { class: "column decoder" },
      tokens(predicts, t("predicts")), arrow(), plain("linear"), arrow(),
      stack("decoder", decoder_layers, plain("feedForward"), arrow(), attentionBlock("cross"),
        h("div", { class: "up", "aria-hidden": "true" }, "↑ Q"), attentionBlock("decoder_self")),
      arrow(), plain("embedding"), arrow(), tokens(reads, t("reads"))),
    svg("svg", { class: "ties", role: "img", "aria-label": t("ties") }));
  new ResizeObserver(() => diagram.isConnected && drawTies(diagram)).observe(diagram);
  return h("div", { class: "overview" },
    diagram,
    measures());
}
