/** The page: its head, the views' tabs, and the view that the link names. */
import { manifest, queryPieces } from "./data.js";
import { choice, h, token } from "./dom.js";
import { readPalette } from "./colour.js";
import { VIEWS, followLink, onChange, set, state } from "./state.js";
import { t } from "./strings.js";
import { drawTies, overview } from "./overview.js";
import { headView } from "./head.js";
import { walk } from "./walk.js";
import { matrixView } from "./matrix.js";
import { whatif } from "./whatif.js";
import { training } from "./training.js";
import { checkView } from "./check.js";
import { savePicture } from "./picture.js";

const DRAW = { overview, head: headView, walk, matrix: matrixView, whatif, training, check: checkView };

/** A sentence as its words, those that training never held marked. */
function sentence({ text, words }, lang) {
  const parts = [];
  const characters = [...text];
  let at = 0;
  for (const word of words) {
    parts.push(characters.slice(at, word.span[0]).join(""));
    const written = characters.slice(...word.span).join("");
    const spoken = h("span", { class: "hidden-text" }, ` (${t("unknownWord")})`);
    parts.push(word.known ? written : h("span", { class: "unknown", title: t("unknownWord") }, written, spoken));
    at = word.span[1];
  }
  return h("bdi", { lang, dir: "auto" }, parts, characters.slice(at).join(""));
}

function header() {
  const themes = [["light", "☀", "light"], ["dark", "◐", "dark"]];
  return h("header", {},
    h("button", { type: "button", class: "skip", onclick: () => document.getElementById("view").focus() }, t("skip")),
    h("div", { class: "bar" },
      h("p", { class: "name" }, t("title")),
      h("div", { class: "tools" },
        h("button", { type: "button", title: t("save"), onclick: () => save("png") }, "PNG"),
        h("button", { type: "button", title: t("save"), onclick: () => save("svg") }, "SVG"),
        h("button", { type: "button", onclick: () => window.print() }, t("print")),
        choice("theme", t("theme"), themes, state.theme, (theme) => set({ theme })),
        choice("lang", t("language"), [["ko", "한국어"], ["en", "English"]], state.lang, (lang) => set({ lang })))),
    h("div", { class: "pair" },
      h("h1", { class: manifest.source.text.length > 120 && "long" },
        h("span", {}, sentence(manifest.source, "en")), " ",
        h("span", { class: "korean" }, sentence(manifest.target, "ko"))),
      h("p", { class: "note" }, t(manifest.forced ? "forced" : "found"))),
    h("p", { class: "note sheet-only" }, t(state.kind), " · ", t("layerHead", { layer: state.layer + 1, head: state.head + 1 }),
      ["walk", "whatif"].includes(state.view) && [" · ", t("query"), " ", token(queryPieces(state.kind)[state.query])]));
}

/** Lay the page out as a sheet, for a picture ("picture") or for paper ("print"): without what one presses. */
function layOut(sheet) {
  if (sheet) document.documentElement.dataset.sheet = sheet;
  else delete document.documentElement.dataset.sheet;
  drawTies();
}

/** Save what is shown, as a sheet. */
function save(kind) {
  layOut("picture");
  const saved = savePicture(kind);
  layOut(null);
  return saved;
}

function tabs() {
  const tab = (view) => h("button", {
    type: "button", role: "tab", id: `tab-${view}`, "aria-selected": String(view === state.view), "aria-controls": "view",
    tabindex: view === state.view ? 0 : -1, onclick: () => set({ view }),
  }, t(view));
  const list = h("div", { role: "tablist", class: "tabs", "data-focus": "tab", "aria-label": t("views") }, VIEWS.map(tab));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    set({ view: VIEWS[(VIEWS.indexOf(state.view) + by + VIEWS.length) % VIEWS.length] });
  });
  return list;
}

function footer() {
  const { parameters, width, heads, head_width, step } = manifest.model;
  const model = t("model", { parameters: parameters.toLocaleString("en"), width, heads, d: head_width });
  return h("footer", {},
    h("p", {}, t(manifest.live ? "liveFooter" : "footer")),
    h("p", {}, model, step != null && ` · ${t("atStep", { step: step.toLocaleString("en") })}`));
}

/** Draw all anew, and leave the focus where it was. */
export function draw() {
  const root = document.documentElement;
  root.lang = state.lang;
  root.dataset.theme = state.theme;
  document.title = `${manifest.source.text.slice(0, 60)} · ${t("title")}`;
  readPalette();
  const before = document.activeElement;
  const name = before?.closest("[data-focus]")?.dataset.focus;
  const labelled = { role: "tabpanel", tabindex: -1, "aria-labelledby": `tab-${state.view}` };
  const view = h("div", { id: "view", ...labelled }, DRAW[state.view]());
  document.getElementById("page").replaceChildren(header(), tabs(), h("main", {}, view), footer());
  for (const chosen of document.querySelectorAll(".tabs [aria-selected=true], .queries [aria-checked=true]")) {
    const list = chosen.parentElement; // scroll to what is chosen, but sideways only
    list.scrollLeft = chosen.offsetLeft - list.clientWidth / 3;
  }
  if (before === document.body || !before) return;
  const place = name && document.querySelector(`[data-focus="${CSS.escape(name)}"]`);
  const inside = place && (place.matches("[tabindex], button, input") ? place : place.querySelector("[tabindex='0']"));
  (inside || view).focus({ preventScroll: true });
}

onChange(draw);
addEventListener("popstate", () => { followLink(location.hash); draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => set({ theme: event.matches ? "dark" : "light" }));

let beforePrint = null; // paper is light
addEventListener("beforeprint", () => { beforePrint = state.theme; set({ theme: "light" }); layOut("print"); });
addEventListener("afterprint", () => { layOut(null); set({ theme: beforePrint ?? state.theme }); });

await document.fonts.load('15px "EnKo Page"', "가A").catch(() => null); // it is in this file: no wait, no jump
followLink(location.hash);
draw();
document.documentElement.dataset.ready = "true";
performance.mark("ready");
