/**
 * The live page: a bar to translate with above the page, which shows what comes back. `translator/server.py` answers.
 * What is asked stands in the address, before the link of what is shown: ?source=I+am+a+student.&beam=5#cross/l2h3/q7.
 */
import { load, manifest } from "./data.js";
import { h } from "./dom.js";
import { draw } from "./main.js";
import { followLink, link, onChange, renew, state } from "./state.js";
import { knows, t } from "./strings.js";

const offers = manifest.live; // engines, steps of the snapshots, widest beam
const nothing = { source: manifest.source.text, target: "", beam: 1, engine: offers.engines[0], snapshots: false };

const page = document.getElementById("page");
const liveBar = h("div", { class: "live", onkeydown: (event) => event.stopPropagation() }); // its keys are not the walk's
let asked = fromAddress();
let answered = location.search; // the question that the page answers
let asking = null; // the request under way
let said = () => ""; // under the bar, in the language shown

function fromAddress() {
  const given = new URLSearchParams(location.search);
  const text = (name) => given.get(name) ?? nothing[name];
  return { source: text("source"), target: text("target"), beam: Number(text("beam")), engine: text("engine"), snapshots: given.has("snapshots") };
}

function toAddress(question) {
  const differs = Object.entries(question).filter(([name, value]) => name === "source" || value !== nothing[name]);
  return `?${new URLSearchParams(differs)}`;
}

/** The bar with a question in it, in the language shown. */
function drawBar(question) {
  liveBar.lang = state.lang;
  const field = (key, control) => h("label", {}, h("span", { class: "label" }, t(key)), control);
  const text = (name, lang, hint) =>
    h("input", { type: "text", name, value: question[name], lang, placeholder: t(hint), autocomplete: "off", spellcheck: "false", "data-focus": `live-${name}` });
  const select = (name, values) => h("select", { name, tabindex: 0, "data-focus": `live-${name}` },
    values.map((value) => h("option", { value, selected: value === question[name] }, String(value))));
  const { steps, engines, beam } = offers;
  const beams = Array.from({ length: beam }, (_, i) => i + 1);
  const snapshots = steps.length
    ? h("label", { class: "whole" },
      h("input", { type: "checkbox", name: "snapshots", checked: question.snapshots, "data-focus": "live-snapshots" }), " ",
      t("liveSnapshots", { steps: steps.map((step) => step.toLocaleString("en")).join(", ") }))
    : h("p", { class: "hint whole" }, t("liveNoSnapshots"));
  const plain = toAddress(question) === toAddress({ ...nothing, source: question.source });
  const open = liveBar.querySelector("details")?.open ?? !plain;
  liveBar.replaceChildren(
    h("form", { onsubmit: submit, "aria-label": t("liveAsk") },
      h("div", { class: "ask" },
        field("liveSource", text("source", "en", "liveSourceHint")),
        h("button", { class: "primary", "data-focus": "live-ask" }, t("liveAsk"))),
      h("details", { open },
        h("summary", {}, t("liveOptions")),
        h("div", { class: "options" },
          field("liveTarget", text("target", "ko", "liveTargetHint")),
          field("liveBeam", select("beam", beams)),
          field("liveEngine", select("engine", engines)),
          snapshots))),
    h("p", { class: "said", role: "status" }));
  busy(asking !== null);
  say(said);
}

/** The question that stands in the bar. */
function typed() {
  const given = new FormData(liveBar.querySelector("form"));
  return { source: given.get("source"), target: given.get("target"), beam: Number(given.get("beam")), engine: given.get("engine"), snapshots: given.has("snapshots") };
}

/** Say a line under the bar; `says` gives it in the language that is shown then. */
function say(says, wrong = false) {
  said = says;
  const line = liveBar.querySelector(".said");
  line.textContent = says();
  line.classList.toggle("wrong", wrong);
}

function submit(event) {
  event.preventDefault();
  const question = typed();
  if (asking && toAddress(question) === toAddress(asked)) return asking.abort();
  asked = question;
  ask();
}

/** Ask the server, and show the answer as it comes; `again` is a question that the address has already. */
async function ask(again = false) {
  asking?.abort();
  const own = (asking = new AbortController());
  busy(true);
  say(() => t("liveWorking"));
  try {
    const answer = await fetch("translate", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked), signal: own.signal,
    });
    let record = null;
    for await (record of records(answer)) {
      if ("korean" in record) write(record.korean);
      else if ("snapshot" in record) { const step = record.snapshot.toLocaleString("en"); say(() => t("liveSnapshot", { step })); }
    }
    if (record?.manifest) show(record, again);
    else refused(record);
  } catch (error) {
    if (own.signal.aborted) say(() => "");
    else if (error instanceof TypeError || error instanceof SyntaxError) refused(null); // no answer, or a broken one
    else throw error;
  } finally {
    if (asking === own) {
      asking = null;
      busy(false);
      draw();
    }
  }
}

/** The records of an answer, an object a line. */
async function* records(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? "")).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
    if (done) return;
  }
}

/** The Korean so far, where the translation stands. */
function write(korean) {
  const pair = [h("bdi", { lang: "en", dir: "auto" }, asked.source), " ", h("span", { class: "korean" }, h("bdi", { lang: "ko" }, korean))];
  document.querySelector("h1").replaceChildren(...pair);
}

/** Show the sentence that came back, in the view that is open. */
function show({ manifest: found, blocks }, again) {
  load(found, blocks);
  renew();
  if (again) followLink(location.hash);
  answered = toAddress(asked);
  history[again ? "replaceState" : "pushState"](null, "", answered + link());
  const korean = found.target.text;
  const says = [
    () => t(found.forced ? "liveForced" : "liveDone", { korean }),
    asked.engine === "ctranslate2" && !found.forced && (() => t("liveExported")),
    found.history && state.view !== "training" && (() => t("liveTraining")),
  ].filter(Boolean);
  say(() => says.map((part) => part()).join(" "));
}

/** Say why there is no answer: what the server gave as its reason, or that it gave none. */
function refused(record) {
  const key = `error_${record?.code}`;
  say(() => (knows(key) ? t(key, record.values) : record?.error ?? t("liveGone")), true);
}

function busy(is) {
  document.documentElement.toggleAttribute("data-busy", is);
  liveBar.querySelector("button").textContent = t(is ? "liveStop" : "liveAsk");
}

page.before(liveBar);
drawBar(asked);
onChange(() => {
  draw();
  if (liveBar.lang !== state.lang) drawBar(typed());
});
addEventListener("popstate", () => {
  if (location.search === answered) return;
  asked = fromAddress();
  drawBar(asked);
  ask(true);
});
if (location.search) {
  page.hidden = true; // the sentence that the page came with is not the one of the address
  ask(true).finally(() => (page.hidden = false));
}
