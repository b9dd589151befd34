/**
 * What is shown, and its link: #cross/l2h3/q7/walk4/ko is head 3 of layer 2 of cross-attention (from 1, as the page
 * counts), its 7th query, the walk's 4th step, in Korean. What differs from how a part opens follows it after dots:
 * q7.k2 (a key other than the one looked at most), head.words.norms.unmarked.reads.lines, overview.ablation,
 * whatif.t71.off2 (temperature in hundredths, silenced keys).
 */
import { KINDS, has, layers, manifest, matrix, sizes } from "./data.js";

const views = () => ["overview", "head", "walk", "matrix", "whatif", ...(manifest.history ? ["training"] : []), "check"];
export let VIEWS = views();
export const STEPS = 8;
const FLAGS = ["words", "norms", "unmarked", "reads", "lines"];

const best = manifest.best ?? { layer: manifest.model.decoder_layers - 1, head: 0, reading: "predicts" };

export const state = {
  kind: "cross", layer: best.layer, head: best.head, query: telling(), key: 0,
  view: "overview", step: 1, lang: navigator.language.startsWith("ko") ? "ko" : "en",
  flags: new Set(), // of FLAGS
  snapshot: (manifest.history?.steps.length ?? 1) - 1,
  measure: "entropy", // under the thumbnails
  temperature: 1, silenced: new Set(), // keys: of "what if"
  theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
};

/** A query worth opening with: the step that looks at a word most, but not at it alone: there is no sum to see then. */
function telling() {
  const weights = matrix("cross.weights", best.layer, best.head);
  const words = manifest.source.pieces.map((p) => (p.word === null ? false : !manifest.source.words[p.word].punctuation));
  const targets = manifest.target.pieces.slice(1).map((p) => (p.word === null ? false : !manifest.target.words[p.word].punctuation));
  const top = weights.map((row, i) => (targets[i] ? row.reduce((most, w, k) => (words[k] ? Math.max(most, w) : most), 0) : -1));
  const mixed = top.map((w) => (w < 0.99 ? w : -1));
  const from = Math.max(...mixed) > 0.5 ? mixed : top;
  return from.findLastIndex((w) => w >= 0.95 * Math.max(...from)); // of equals the last: it has read the most
}

/** The key that the chosen query looks at most. */
function topKey({ kind, layer, head, query }) {
  const row = matrix(`${kind}.weights`, layer, head)[query];
  return row.indexOf(Math.max(...row));
}

/** After another sentence pair was loaded: a telling query of it, the last snapshot, all else as it was. */
export function renew() {
  VIEWS = views();
  Object.assign(state, { query: telling(), snapshot: (manifest.history?.steps.length ?? 1) - 1 });
  tidy();
  state.key = topKey(state);
}

let listener = () => {};
/** Call `draw` after every change; there is one listener, the page. */
export const onChange = (draw) => (listener = draw);

/** Change what is shown and draw it; `quietly` only keeps the link up to date. */
export function set(changes, quietly = false) {
  const before = state.view;
  Object.assign(state, changes);
  tidy();
  if (!("key" in changes) && ["kind", "layer", "head", "query"].some((name) => name in changes)) state.key = topKey(state);
  try {
    history[state.view === before ? "replaceState" : "pushState"](null, "", link());
  } catch { /* a browser may limit how often; the next change will write it */ }
  if (!quietly) listener();
}

/** Keep every number inside this model and sentence. */
function tidy() {
  const within = (x, count) => Math.min(Math.max(x | 0, 0), count - 1);
  const [Q, K] = sizes(state.kind);
  state.layer = within(state.layer, layers(state.kind));
  state.head = within(state.head, manifest.model.heads);
  state.query = within(state.query, Q);
  state.key = within(state.key, K);
  state.step = within(state.step - 1, STEPS) + 1;
  state.snapshot = within(state.snapshot, manifest.history?.steps.length ?? 1);
  state.temperature = Math.min(Math.max(state.temperature, 0.25), 4);
  state.silenced = new Set([...state.silenced].filter((key) => key < K));
  if (!manifest.measures.cross[state.measure]) state.measure = "entropy";
  if (!VIEWS.includes(state.view)) state.view = "overview";
}

/** The link of what is shown. */
export function link() {
  const { kind, layer, head, query, key, view, step, lang, flags, snapshot, measure, temperature, silenced } = state;
  const dotted = (...parts) => parts.filter(Boolean).join(".");
  const part = {
    overview: dotted(view, measure !== "entropy" && measure), head: dotted(view, ...flags), walk: `walk${step}`, training: `training${snapshot + 1}`,
    whatif: dotted(view, temperature !== 1 && `t${Math.round(100 * temperature)}`, ...[...silenced].map((k) => `off${k + 1}`)),
  }[view] ?? view;
  const place = dotted(`q${query + 1}`, key !== topKey(state) && `k${key + 1}`);
  return `#${KINDS[kind].link}/l${layer + 1}h${head + 1}/${place}/${part}/${lang}`;
}

/** Show what a link says; parts that are missing or wrong stay as they are. */
export function followLink(hash) {
  let key = null;
  for (const part of hash.replace(/^#/, "").split("/")) {
    const kind = Object.keys(KINDS).find((name) => KINDS[name].link === part);
    const [first, ...rest] = part.split(".");
    const [, name, number] = /^([a-z]+)(\d*)$/.exec(first) ?? [];
    const numbers = (letters) => rest.filter((text) => new RegExp(`^${letters}\\d+$`).test(text)).map((text) => Number(text.slice(letters.length)));
    const place = /^l(\d+)h(\d+)$/.exec(part);
    if (kind) state.kind = kind;
    else if (place) Object.assign(state, { layer: place[1] - 1, head: place[2] - 1 });
    else if (name === "q" && number) [state.query, key] = [number - 1, numbers("k")[0] ?? null];
    else if (part === "en" || part === "ko") state.lang = part;
    else if (VIEWS.includes(name)) {
      state.view = name;
      if (name === "walk" && number) state.step = Number(number);
      if (name === "training" && number) state.snapshot = number - 1;
      if (name === "head") state.flags = new Set(rest.filter((flag) => FLAGS.includes(flag)));
      if (name === "overview") state.measure = rest[0] ?? "entropy";
      if (name === "whatif") Object.assign(state, { temperature: (numbers("t")[0] ?? 100) / 100, silenced: new Set(numbers("off").map((k) => k - 1)) });
    }
  }
  tidy();
  state.key = key !== null && key <= sizes(state.kind)[1] ? Math.max(key - 1, 0) : topKey(state);
}

/** Whether the walk's arrays are in the file. */
export const detailed = has("cross.queries");
