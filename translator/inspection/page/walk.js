/** The walk: one query through one attention, step by step, with the model's own numbers. */
import { check } from "./attention.js";
import { keyPieces, manifest } from "./data.js";
import { choice, formula, h, tiny } from "./dom.js";
import { chooser } from "./chooser.js";
import { stage } from "./stages.js";
import { STEPS, detailed, set, state } from "./state.js";
import { t } from "./strings.js";

const TICK = { 1: 700, 2: 350, 3: 1100, 7: 600, 8: 600 }; // ms; others 400
const BREATH = 900; // ms at the end of a step
const JUMP = 1000; // ms a tick where motion is to be reduced
const still = matchMedia("(prefers-reduced-motion: reduce)");

let shown = null; // the stage on the page
let progress = 0; // of its ticks
let running = 0; // the animation's frame, 0 when stopped
let playingOn = false; // whether it is the animation that draws the next step
let checked = null; // the sentence pair
const checks = new Map(); // of each of its attentions, once

/** What is said beside a step. */
function says(step) {
  const { kind, layer, head } = state;
  const { width, heads, head_width: d, norm } = manifest.model;
  switch (step) {
    case 1: {
      const first = t("say1first", { norm: norm === "pre" ? t("say1norm") : "" });
      const own = layer === 0 ? first : t("say1later", { layer: layer + 1 });
      return [t("say1", { width }), kind === "cross" ? t("say1cross") : own];
    }
    case 2: return [t("say2"), kind === "cross" ? t("say2cross") : t("say2same")];
    case 5: return [t(kind === "decoder_self" ? "say5" : "say5none")];
    default: return [t(`say${step}`, { d, heads, head: head + 1 })];
  }
}

const FORMULA = {
  1: "e + p", 3: "q · k = q₁k₁ + q₂k₂ + … + q_dk_d", 4: "s = q · k / √d", 6: "α = exp(s) / Σ exp(s)", 7: "Σ α · v", 8: "[head₁ … head_H] W_O + b_O",
};
const TAG = { 1: "partInPost", 2: "biasNotInPost", 4: "notInPost", 5: "namedInPost", 8: "notInPost" };
const STORED = { 1: "storedInput", 2: "stored", 8: "storedOutput" };

/** The step's formula, a line each; of the projections and the mask it depends on the attention. */
function formulas(step) {
  if (step === 2) return ["Q", "K", "V"].map((name) => `${name.toLowerCase()} = ${name !== "Q" && state.kind === "cross" ? "h" : "x"} W_${name} + b_${name}`);
  if (step === 5) return state.kind === "decoder_self" ? ["s = −∞"] : [];
  return [FORMULA[step]];
}

/** Show the stage `now` ticks along. */
function place(now) {
  progress = Math.min(Math.max(now, 0), shown.ticks);
  shown.at(progress);
}

const onButton = (key) => document.getElementById("play")?.replaceChildren(t(key));

function stop() {
  cancelAnimationFrame(running);
  running = 0;
  onButton("play");
}

/** Run from here (from the beginning, if the step stands whole) to the end of the walk; with less motion, in jumps. */
function play() {
  if (running) return stop();
  if (progress >= shown.ticks) place(0);
  onButton("pause");
  let before = null;
  const frame = (time) => {
    if (!shown.element.isConnected) return stop();
    const passed = time - (before ??= time);
    if (progress >= shown.ticks) {
      if (passed >= BREATH) {
        if (state.step === STEPS) return stop();
        nextStep();
        before = time;
      }
    } else if (!still.matches || passed >= JUMP) {
      place(still.matches ? Math.floor(progress) + 1 : progress + passed / (TICK[state.step] ?? 400));
      before = time;
    }
    running = requestAnimationFrame(frame);
  };
  running = requestAnimationFrame(frame);
}

/** The next step from its beginning, the animation going on. */
function nextStep() {
  playingOn = true;
  set({ step: state.step + 1 });
  playingOn = false;
  place(0);
  onButton("pause");
}

const go = (step) => { stop(); set({ step: Math.min(Math.max(step, 1), STEPS) }); };
const choose = (key) => { stop(); set({ key: Math.min(Math.max(key, 0), keyPieces(state.kind).length - 1) }); };

addEventListener("keydown", (event) => {
  if (state.view !== "walk" || !shown || event.altKey || event.ctrlKey || event.metaKey) return;
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by && event.shiftKey) { stop(); place(by > 0 ? Math.floor(progress) + 1 : Math.ceil(progress) - 1); }
  else if (by) go(state.step + by);
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") choose(state.key + (event.key === "ArrowDown" ? 1 : -1));
  else if (event.key === " " && event.target.tagName !== "BUTTON") play();
  else return;
  event.preventDefault();
});

/** Every weight of this attention, recomputed and compared, said in a line. */
function proof() {
  const { kind } = state;
  const line = h("p", { class: "proof", "data-proof": kind }, t("proofRunning"));
  if (checked !== manifest) checks.clear();
  checked = manifest;
  if (!checks.has(kind)) checks.set(kind, check(kind, manifest.model.heads));
  checks.get(kind).then(({ cells, weights, mixed }) => {
    line.dataset.weights = weights;
    line.dataset.mixed = mixed;
    line.textContent = t("proof", { cells: cells.toLocaleString("en"), weights: tiny(weights), mixed: tiny(mixed) });
  });
  return line;
}

export function walk() {
  if (!detailed) return h("p", {}, t("noDetails"));
  if (!playingOn) stop();
  const { step } = state;
  shown = stage(choose);
  const steps = Array.from({ length: STEPS }, (_, i) => {
    const [number, title] = [i + 1, t(`step${i + 1}`)];
    return [number, [h("span", { class: "count" }, String(number)), h("span", { class: "step-name" }, formula(title))], `${number}. ${title}`];
  });
  const control = (name, attributes, onclick) => h("button", { type: "button", "data-focus": `walk-${name}`, onclick, ...attributes }, t(name));
  const caption = h("div", { class: "caption" },
    h("p", { class: "label" }, `${step} / ${STEPS}`),
    h("h2", {}, formula(t(`step${step}`))),
    TAG[step] && h("p", { class: "tag" }, t(TAG[step])),
    formulas(step).length > 0 && h("p", { class: "formula" }, formulas(step).map((line) => h("span", {}, formula(line)))),
    says(step).map((text) => h("p", {}, formula(text))),
    h("p", { class: "origin" }, formula(t(STORED[step] ?? "computed"))),
    h("div", { class: "buttons player" },
      control("back", { "aria-disabled": String(step === 1) }, () => go(step - 1)),
      control("play", { id: "play" }, play),
      control("next", { class: "primary", "aria-disabled": String(step === STEPS) }, () => go(step + 1))),
    h("p", { class: "hint keys-hint" }, t("walkKeys").split(" · ").map((part) => h("span", {}, part))));
  place(shown.ticks);
  return h("div", { class: "walk" },
    chooser(),
    choice("step", t("steps"), steps, step, go, { class: "choice steps" }),
    h("div", { class: "walk-main" }, caption, h("div", { class: "stage", "data-step": step }, shown.element)),
    h("div", { class: "notes" },
      h("p", { class: "hint" }, h("span", { class: "swatch", "aria-hidden": "true" }), t("colours"), " ", t("pieceNote")),
      h("p", { class: "hint" }, t("postNote")),
      proof()));
}
