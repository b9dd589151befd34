/** What if the softmax were more or less decided, or a key were not there: computed in the page, not by the model. */
import { dot, follow, hidden, mix, softmax } from "./attention.js";
import { keyPieces } from "./data.js";
import { fixed, h, token, visible } from "./dom.js";
import { largest, vectorRow } from "./colour.js";
import { chooser } from "./chooser.js";
import { detailed, set, state } from "./state.js";
import { t } from "./strings.js";

export function whatif() {
  if (!detailed) return h("p", {}, t("noDetails"));
  const { kind, layer, head, query } = state;
  const way = follow(kind, layer, head, query);
  const scale = largest(...way.values);
  const { silenced } = state;
  const slider = h("input", { // log₂ of the temperature
    type: "range", id: "temperature", min: -2, max: 2, step: 0.05, value: Math.log2(state.temperature), oninput: draw, onchange: keep,
  });
  const shown = h("output", { for: "temperature", class: "number" });
  const rows = keyPieces(kind).map((piece, key) => {
    const [after, number] = [h("span", { class: "after" }), h("td", { class: "number" })];
    const masked = hidden(kind, query, key);
    const before = h("span", { class: "before", style: { width: `${way.weights[key] * 100}%` } });
    const off = h("input", {
      type: "checkbox", "aria-label": t("silence", { key: visible(piece) }), disabled: masked, checked: silenced.has(key),
      onchange: () => { silenced[off.checked ? "add" : "delete"](key); draw(); keep(); },
    });
    const row = h("tr", { class: masked && "masked" },
      h("td", {}, off), h("th", { scope: "row" }, token(piece)), h("td", { class: "number" }, fixed(way.weights[key], 4)), number,
      h("td", {}, h("span", { class: "bar-cell twin", "aria-hidden": "true" }, before, after)));
    return { row, after, number };
  });
  const context = vectorRow(t("contextChanged"), way.mixed, { scale, focus: true, role: "result" });
  const cosine = h("p", { class: "readout", "aria-live": "polite" });
  function keep() {
    set({ temperature: 2 ** slider.value, silenced }, true);
  }
  function draw() {
    const temperature = 2 ** slider.value;
    const weights = softmax(way.masked.map((s, key) => (silenced.has(key) ? -Infinity : s / temperature)));
    const mixed = mix(weights, way.values);
    shown.textContent = fixed(temperature, 2);
    rows.forEach(({ row, after, number }, key) => {
      after.style.setProperty("width", `${weights[key] * 100}%`);
      number.textContent = fixed(weights[key], 4);
      row.classList.toggle("silenced", silenced.has(key));
    });
    context.update(mixed);
    const size = Math.sqrt(dot(mixed, mixed) * dot(way.mixed, way.mixed));
    cosine.textContent = t("apart", { cosine: size ? fixed(dot(mixed, way.mixed) / size, 4) : "–" });
  }
  const reset = () => {
    slider.value = 0;
    silenced.clear();
    rows.forEach(({ row }) => (row.querySelector("input").checked = false));
    draw();
    keep();
  };
  const element = h("div", { class: "whatif" }, chooser(), h("p", { class: "lead" }, t("whatifSay")), h("p", { class: "tag" }, t("whatifNot")),
    h("div", { class: "stage" },
      h("div", { class: "slider" }, h("label", { for: "temperature" }, t("temperature")), slider, shown, h("button", { type: "button", onclick: reset }, t("reset"))),
      h("p", { class: "hint" }, t("temperatureHint")),
      h("div", { class: "scroll" }, h("table", { class: "keys switchable" },
        h("thead", {}, h("tr", {}, ["colOff", "colToken", "modelShare", "changedShare"].map((key, i) => h("th", { scope: "col", class: i > 1 && "number" }, t(key))), h("td"))),
        h("tbody", {}, rows.map(({ row }) => row)))),
      h("section", { class: "group total" },
        vectorRow(t("contextModel"), way.mixed, { scale, focus: true }), context),
      cosine));
  draw();
  return element;
}
