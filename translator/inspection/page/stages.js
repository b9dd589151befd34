/**
 * The eight steps of the walk, one function a step. Each gives a stage: {element, ticks, at}. `at(t)` shows the step
 * t of `ticks` along, with the part of the running tick as t's fraction; at(ticks) is the whole step.
 */
import { follow, hidden } from "./attention.js";
import { KINDS, keyPieces, manifest, matrix, queryPieces } from "./data.js";
import { fixed, formula, h, signed, token } from "./dom.js";
import { currentKey, keyTable, reveal } from "./keytable.js";
import { bar, largest, strip, vectorRow } from "./colour.js";
import { state } from "./state.js";
import { t } from "./strings.js";

const side = (name) => (name === "source" ? t("fromEnglish") : t("fromKorean"));
const queryToken = () => token(queryPieces(state.kind)[state.query]);

/** 1: what a piece is before attention looks at it. */
function embedding() {
  const { kind, layer, query, key } = state;
  const group = (where, place, title, piece, inputs) => {
    const first = matrix(`${where}.embedding`, 0)[place];
    const position = matrix(`${where}.positions`, 0)[place];
    const sum = first.map((x, i) => x + position[i]);
    const scale = largest(first, position, sum);
    const rows = [
      vectorRow(t("rowEmbedding"), first, { scale, focus: true }),
      vectorRow(t("rowPosition"), position, { scale, focus: true }),
      vectorRow(t("rowSum"), sum, { scale, focus: true }),
      vectorRow(inputs.label, inputs.values, { focus: true, role: "result" }),
    ];
    const heading = h("h3", {}, title, " ", token(piece), h("span", { class: "sub" }, side(where)));
    return { rows, element: h("section", { class: "group" }, heading, rows) };
  };
  const x = { label: t("layerInput"), values: matrix(`${kind}.inputs`, layer)[query] };
  const groups = [group(KINDS[kind].queries, query, t("queryToken"), queryPieces(kind)[query], x)];
  if (kind === "cross") {
    const states = { label: t("states"), values: matrix("source.states", 0)[key] };
    groups.push(group("source", key, t("keyToken"), keyPieces(kind)[key], states));
  }
  return { element: h("div", {}, groups.map((g) => g.element)), ticks: 4, at: (now) => groups.forEach((g) => reveal(g.rows, now)) };
}

/** 2: the three projections. */
function projections(way, choose) {
  const { kind, layer, query, key } = state;
  const scales = [largest(way.q), largest(...way.keys), largest(...way.values)];
  const x = vectorRow("x", matrix(`${kind}.inputs`, layer)[query], { name: "x", focus: true });
  const q = vectorRow(formula("q = x W_Q + b_Q"), way.q, { scale: scales[0], name: "q", focus: true, role: "result" });
  const { keys, queries } = KINDS[kind];
  const input = kind === "cross" ? "h" : "x";
  const { rows, table } = keyTable([formula(`k = ${input} W_K + b_K`), formula(`v = ${input} W_V + b_V`)], (place) => [
    strip(way.keys[place], { name: "k", scale: scales[1], focus: place === key }),
    strip(way.values[place], { name: "v", scale: scales[2], focus: place === key }),
  ], { choose });
  const from = (name) => h("span", { class: "sub" }, side(name), kind !== "cross" && `, ${t("fromSame")}`);
  const element = h("div", {},
    h("section", { class: "group" }, h("h3", {}, "Q ", queryToken(), from(queries)), x, q),
    h("section", { class: "group" }, h("h3", {}, "K, V", from(keys)),
      kind === "cross" && vectorRow("h", matrix("source.states", 0)[key], { name: "h", focus: true }), table));
  return { element, ticks: 1 + rows.length, at: (now) => [[[q], now], [rows, now - 1]].forEach((part) => reveal(...part)) };
}

/** 3: q · k for each key; above, the running key's products and their sum as it forms. */
function products(way, choose) {
  const d = way.q.length;
  const keyScale = largest(...way.keys);
  const most = largest(way.products);
  const terms = way.keys.map((k) => k.map((x, i) => x * way.q[i]));
  const scale = largest(...terms);
  const k = vectorRow("k", way.keys[state.key], { scale: keyScale, name: "k", focus: true });
  const product = vectorRow(t("product"), terms[state.key], { scale, name: "q × k", focus: true });
  const sum = h("div", { class: "sum" });
  const { rows, table } = keyTable(["k", t("colProduct"), ""], (key) => [
    strip(way.keys[key], { name: "k", scale: keyScale }), fixed(way.products[key]), bar(way.products[key], most, true),
  ], { choose });
  const bench = h("section", { class: "group" }, h("h3", {}, queryToken(), " · ", h("span", { class: "bench-key" })),
    vectorRow("q", way.q, { name: "q", focus: true }), k, product, sum);
  function at(now) {
    const key = currentKey(now);
    const count = now >= rows.length ? d : Math.ceil((now - key) * d);
    reveal(rows, now);
    bench.querySelector(".bench-key").replaceChildren(token(keyPieces(state.kind)[key]));
    k.update(way.keys[key]);
    product.update(terms[key].map((x, i) => (i < count ? x : 0)));
    const total = terms[key].slice(0, count).reduce((a, b) => a + b, 0);
    const written = (i) => `${signed(way.q[i])} × ${signed(way.keys[key][i])}`;
    const shown = [0, 1, count - 1].filter((i, n, all) => i >= 0 && i < count && all.indexOf(i) === n).map(written);
    if (count > 3) shown.splice(2, 0, "…");
    sum.replaceChildren(
      h("p", {}, shown.join(" + ")),
      h("p", {}, `${t("running", { terms: count, d })} = `, h("strong", { class: "number" }, fixed(total))));
  }
  return { element: h("div", {}, bench, table), ticks: rows.length, at };
}

/** 4: the same sums, divided. */
function scaling(way, choose) {
  const most = largest(way.products);
  const d = way.q.length;
  const { rows, table } = keyTable([t("colProduct"), "", formula(t("colScaled", { d })), ""], (key) => [
    fixed(way.products[key]), bar(way.products[key], most, true), fixed(way.scaled[key]), bar(way.scaled[key], most, true),
  ], { choose });
  const line = h("p", { class: "working" });
  function at(now) {
    const key = currentKey(now);
    const [product, root, score] = [way.products[key], Math.sqrt(d), way.scaled[key]].map((x) => fixed(x));
    reveal(rows, now);
    line.replaceChildren(...formula(`${product} ÷ √${d} = ${product} ÷ ${root} = `), h("strong", {}, score));
  }
  return { element: h("div", {}, line, table), ticks: rows.length, at };
}

/** 5: what may not be looked at. */
function masking(way, choose) {
  const masked = (key) => hidden(state.kind, state.query, key);
  const most = largest(way.scaled);
  const { rows, table } = keyTable([formula(t("colScaled", { d: way.q.length })), t("colMasked"), "", ""], (key) => [
    fixed(way.scaled[key]), fixed(way.masked[key]), bar(way.masked[key], most, true), masked(key) ? h("span", { class: "sub why" }, t("isHidden")) : "",
  ], { masked, choose });
  return { element: h("div", {}, table), ticks: rows.length, at: (now) => reveal(rows, now) };
}

/** 6: exp of each, their sum, and then each divided by it. */
function shares(way, choose) {
  const exps = way.masked.map((s) => Math.exp(s));
  const add = (list, count) => list.slice(0, count).reduce((a, b) => a + b, 0);
  const { rows, table, sums } = keyTable([t("colMasked"), t("colExp"), t("colShare"), ""], (key) => [
    fixed(way.masked[key]), fixed(exps[key]), fixed(way.weights[key], 4), bar(way.weights[key], 1, false),
  ], { masked: (key) => hidden(state.kind, state.query, key), choose, foot: ["", "0", "0", ""] });
  rows.forEach((row, key) => (row.dataset.share = way.weights[key])); // in full, for whoever checks
  const count = rows.length;
  const line = h("p", { class: "working" });
  function at(now) {
    const dividing = now > count; // first all exps, then all shares
    const [summed, divided] = [Math.min(Math.ceil(now), count), Math.max(Math.ceil(now) - count, 0)];
    const key = currentKey(dividing ? now - count : now - 1e-9);
    reveal(rows, Math.min(now, count));
    rows.forEach((row, i) => {
      row.classList.toggle("current", i === key && now < 2 * count);
      for (const cell of [row.cells[3], row.cells[4]]) cell.classList.toggle("pending", i >= divided);
    });
    sums[1].textContent = fixed(add(exps, summed));
    sums[2].textContent = fixed(add(way.weights, divided), 4);
    const [score, exp, sum, share] = [fixed(way.masked[key]), fixed(exps[key]), fixed(add(exps, count)), fixed(way.weights[key], 4)];
    const parts = dividing ? [`${exp} ÷ ${sum} = `, share] : [`exp(${score}) = `, exp];
    line.replaceChildren(parts[0], h("strong", {}, parts[1]));
  }
  return { element: h("div", {}, line, table), ticks: 2 * count, at };
}

/** 7: the values, each by its share, added one after the other. */
function sums(way, choose) {
  const scale = largest(...way.values);
  const part = way.values.map((v, key) => v.map((x) => x * way.weights[key]));
  const total = vectorRow(t("sumSoFar"), way.mixed, { scale, name: "Σ α · v", focus: true, role: "result" });
  const { rows, table } = keyTable([t("colShare"), "", t("colValue"), t("colAlphaV")], (key) => [
    fixed(way.weights[key], 4), bar(way.weights[key], 1, false),
    strip(way.values[key], { name: "v", scale }), strip(part[key], { name: "α v", scale, focus: key === state.key }),
  ], { masked: (key) => hidden(state.kind, state.query, key), choose });
  const holds = h("p", { class: "sum" });
  /** What the sum is made of after `count` keys, as the post says it: so much of this, so much of that. */
  function say(count) {
    const most = way.weights.map((weight, key) => ({ weight, key })).slice(0, count).sort((a, b) => b.weight - a.weight).slice(0, 4);
    const named = most.map(({ weight, key }) => h("span", {}, token(keyPieces(state.kind)[key]), " ", h("strong", {}, `${fixed(100 * weight, 1)}%`)));
    holds.replaceChildren(h("span", {}, t("holds")), ...named);
  }
  function at(now) {
    const sum = new Float64Array(way.mixed.length);
    part.forEach((v, key) => {
      const share = Math.min(Math.max(now - key, 0), 1);
      for (let i = 0; i < sum.length; i++) sum[i] += share * v[i];
    });
    reveal(rows, now);
    total.update(sum);
    say(Math.ceil(now));
  }
  return { element: h("div", {}, table, h("section", { class: "group total" }, total, holds)), ticks: rows.length, at };
}

/** 8: all heads of the layer, and what W_O makes of them. */
function joining() {
  const { kind, layer, head, query } = state;
  const heads = Array.from({ length: manifest.model.heads }, (_, i) => follow(kind, layer, i, query).mixed);
  const scale = largest(...heads);
  const rows = heads.map((mixed, i) => {
    const name = t("layerHead", { layer: layer + 1, head: i + 1 });
    return vectorRow(name, mixed, { scale, focus: true, role: i === head ? "result" : "" });
  });
  const joined = vectorRow(t("joined"), heads.flatMap((mixed) => [...mixed]), { scale, focus: true });
  const output = vectorRow(formula(t("output")), matrix(`${kind}.outputs`, layer)[query], { name: "W_O", focus: true, role: "result" });
  const all = [...rows, joined, output];
  const element = h("div", {},
    h("section", { class: "group" }, h("h3", {}, "Σ α · v ", queryToken()), rows),
    h("section", { class: "group" }, joined, output));
  return { element, ticks: all.length, at: (now) => reveal(all, now) };
}

/** The stage of the step that is shown; `choose(key)` is called when a key's row is pressed. */
export function stage(choose) {
  const way = follow(state.kind, state.layer, state.head, state.query);
  return [embedding, projections, products, scaling, masking, shares, sums, joining][state.step - 1](way, choose);
}
