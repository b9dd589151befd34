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
  const [width, height, pad] = [260, 110, 10];
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const x = (i) => pad + (i / Math.max(values.length - 1, 1)) * (width - 2 * pad);
  const y = (v) => height - pad - ((v - low) / (high - low || 1)) * (height - 2 * pad);
  const label = knows(`curve_${name}`) ? t(`curve_${name}`) : name;
  const all = values.map((v, i) => `${steps[i]}: ${fixed(v, 2)}`).join(", ");
  return h("figure", { class: "curve" },
    h("figcaption", {}, label, " ", h("strong", { class: "number" }, fixed(values[now], 2))),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}: ${all}` },
      svg("line", { class: "axis", x1: pad, x2: width - pad, y1: height - pad, y2: height - pad }),
      svg("polyline", { class: "curve-line", points: values.map((v, i) => `${x(i)},${y(v)}`).join(" ") }),
      svg("circle", { class: "curve-dot", cx: x(now), cy: y(values[now]), r: 4 })));
}

export function training() {
  const { steps, curves } = manifest.history;
  const { kind, layer, head, snapshot } = state;
  const name = `history.${kind}.weights`;
  const at = t("stepN", { step: steps[snapshot].toLocaleString("en") });
  const map = picture(t("layerHead", { layer: layer + 1, head: head + 1 }), matrix(name, snapshot, layer, head), {
    scale: 1, pieces: KINDS[kind].queries === "target" ? predicts : source, above: keyPieces(kind),
  });
  map.light(null, null);
  const slider = h("input", {
    type: "range", id: "snapshot", min: 0, max: steps.length - 1, step: 1, value: snapshot, "data-focus": "snapshot",
    "aria-valuetext": at, oninput: () => set({ snapshot: Number(slider.value) }),
  });
  return h("div", { class: "training" },
    kindChoice(),
    h("p", { class: "lead" }, t("trainingSay")),
    h("div", { class: "slider" }, h("label", { for: "snapshot" }, at), slider),
    h("div", { class: "training-main" },
      h("div", { class: "stage" }, map),
      h("div", { class: "heads", style: { "--columns": manifest.model.heads } }, allHeads(kind).map(([l, n]) =>
        h("button", {
          type: "button", class: "thumb", "aria-pressed": String(l === layer && n === head), "data-focus": `t${l}.${n}`,
          "aria-label": t("layerHead", { layer: l + 1, head: n + 1 }), onclick: () => set({ layer: l, head: n }),
        }, thumbnail(matrix(name, snapshot, l, n))))),
      h("div", { class: "curves" }, Object.entries(curves).map(([key, values]) => curve(key, values, steps, snapshot)))));
}
