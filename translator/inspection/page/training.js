/** Attention being learnt: the same pair through the snapshots of a training run. */
import { KINDS, allHeads, keyPieces, manifest, matrix, predicts, source } from "./data.js";
import { fixed, h, svg } from "./dom.js";
import { thumbnail } from "./colour.js";
import { kindChoice } from "./chooser.js";
import { picture } from "./matrix.js";
import { set, state } from "./state.js";
import { knows, t } from "./strings.js";

/** One curve over the snapshots, with the one that is shown marked. */
function curve(name, values, steps, now) {
  const [width, height, left, pad, foot] = [260, 116, 40, 8, 24];
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const x = (i) => left + (i / Math.max(values.length - 1, 1)) * (width - left - pad);
  const y = (v) => height - foot - ((v - low) / (high - low || 1)) * (height - foot - pad);
  const last = steps.length - 1;
  const scale = (text, x, y, anchor) => svg("text", { class: "scale", x, y, "text-anchor": anchor }, text);
  const label = knows(`curve_${name}`) ? t(`curve_${name}`) : name;
  const all = values.map((v, i) => `${steps[i]}: ${fixed(v, 2)}`).join(", ");
  return h("figure", { class: "curve" },
    h("figcaption", {}, label, " ", h("strong", { class: "number" }, fixed(values[now], 2))),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}: ${all}` },
      svg("line", { class: "axis", x1: left, x2: width - pad, y1: height - foot, y2: height - foot }),
      scale(fixed(high, 2), left - 8, y(high) + 4, "end"), scale(fixed(low, 2), left - 8, y(low) + 4, "end"),
      scale(steps[0].toLocaleString("en"), x(0), height - 6, "start"), scale(t("stepN", { step: steps[last].toLocaleString("en") }), x(last), height - 6, "end"),
      svg("polyline", { class: "curve-line", points: values.map((v, i) => `${x(i)},${y(v)}`).join(" ") }),
      svg("circle", { class: "curve-dot", cx: x(now), cy: y(values[now]), r: 4 })));
}

export function training() {
  const { steps, curves } = manifest.history;
  const { kind, layer, head } = state;
  const name = `history.${kind}.weights`;
  const when = (snapshot) => t("stepN", { step: steps[snapshot].toLocaleString("en") });
  const label = h("label", { for: "snapshot", class: "number" });
  const main = h("div", { class: "training-main" });
  const slider = h("input", {
    type: "range", id: "snapshot", min: 0, max: steps.length - 1, step: 1, value: state.snapshot, "data-focus": "snapshot",
    oninput: () => draw(Number(slider.value)), onchange: () => set({ snapshot: Number(slider.value) }, true),
  });
  const heads = (snapshot) => allHeads(kind).map(([l, n]) => h("button", {
    type: "button", class: "thumb", "aria-pressed": String(l === layer && n === head), "data-focus": `t${l}.${n}`,
    "aria-label": t("layerHead", { layer: l + 1, head: n + 1 }), onclick: () => set({ layer: l, head: n }),
  }, thumbnail(matrix(name, snapshot, l, n))));
  /** All but the slider, which must not be replaced while it is dragged. */
  function draw(snapshot) {
    label.textContent = when(snapshot);
    slider.setAttribute("aria-valuetext", when(snapshot));
    const map = picture(t("layerHead", { layer: layer + 1, head: head + 1 }), matrix(name, snapshot, layer, head), {
      scale: 1, pieces: KINDS[kind].queries === "target" ? predicts : source, above: keyPieces(kind),
    });
    map.light(null, null);
    main.replaceChildren(
      h("div", { class: "stage" }, map),
      h("div", { class: "heads", style: { "--columns": manifest.model.heads } }, heads(snapshot)),
      h("div", { class: "curves" }, Object.entries(curves).map(([key, values]) => curve(key, values, steps, snapshot))));
  }
  draw(state.snapshot);
  return h("div", { class: "training" },
    kindChoice(),
    h("p", { class: "lead" }, t("trainingSay")),
    h("div", { class: "slider" }, label, slider),
    main);
}
