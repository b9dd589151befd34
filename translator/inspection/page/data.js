/**
 * What the file holds: the manifest (`bundle.schema.json` documents it) and the arrays, base64 blocks in script
 * elements of their own, decoded when first shown. The live page is given others (`load`). A matrix is a list of rows, each a Float32Array.
 *
 * Shapes: `L` layers, `H` heads, `Q` queries, `K` keys, `S` English pieces, `T` decoder steps, `d` head width, `D` width.
 */

export let manifest = JSON.parse(document.getElementById("manifest").textContent);

/** Of each attention: its name in links, and which sentence its queries and its keys and values come from. */
export const KINDS = {
  encoder_self: { link: "encoder", queries: "source", keys: "source" },
  decoder_self: { link: "decoder", queries: "target", keys: "target" },
  cross: { link: "cross", queries: "target", keys: "source" },
};

export let source; // S
export let reads; // T
export let predicts; // T

const blocks = new Map(); // decoded
let stored = (id) => document.getElementById(id).textContent;

function readPieces() {
  source = manifest.source.pieces.map((p) => p.piece);
  reads = manifest.target.pieces.slice(0, -1).map((p) => p.piece);
  predicts = manifest.target.pieces.slice(1).map((p) => p.piece);
}
readPieces();

/** Another sentence pair instead: its manifest, and its base64 blocks by "name/index". */
export function load(newManifest, newBlocks) {
  manifest = newManifest;
  stored = (id) => newBlocks[id];
  blocks.clear();
  readPieces();
}

/** Block `index` (a layer, or a snapshot) of an array, flat. */
function block(name, index) {
  const id = `${name}/${index}`;
  if (!blocks.has(id)) {
    const text = atob(stored(id));
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    blocks.set(id, manifest.arrays[name].half ? floats(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer));
  }
  return blocks.get(id);
}

/** Half precision to single. */
function floats(halves) {
  return Float32Array.from(halves, (bits) => {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return bits & 0x8000 ? -size : size;
  });
}

export const has = (name) => name in manifest.arrays;

/** The matrix of an array at `path`: the block (layer or snapshot) first, then one index an axis but the last two. */
export function matrix(name, ...path) {
  const { shape } = manifest.arrays[name]; // of a block
  const [rows, columns] = shape.slice(-2);
  const place = path.slice(1).reduce((sum, index, axis) => sum * shape[axis] + index, 0);
  const flat = block(name, path[0] ?? 0);
  return Array.from({ length: rows }, (_, i) => flat.subarray((place * rows + i) * columns, (place * rows + i + 1) * columns));
}

/** Log-probability (T) of the piece that each step predicts. */
export const logprobs = () => block("logprobs", 0);

/** How many layers an attention has. */
export const layers = (kind) => manifest.model[kind === "encoder_self" ? "encoder_layers" : "decoder_layers"];

/** The [layer, head] of every head of an attention, layer by layer. */
export function allHeads(kind) {
  const { heads } = manifest.model;
  return Array.from({ length: layers(kind) * heads }, (_, i) => [Math.floor(i / heads), i % heads]);
}

/** The sizes [Q, K] of an attention. */
export const sizes = (kind) => [KINDS[kind].queries, KINDS[kind].keys].map((side) => (side === "source" ? source : reads).length);

/** The pieces that stand for its rows and columns; a decoder row has the piece it reads here. */
export const queryPieces = (kind) => (KINDS[kind].queries === "source" ? source : reads);
export const keyPieces = (kind) => (KINDS[kind].keys === "source" ? source : reads);
