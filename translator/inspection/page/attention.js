/**
 * Attention, recomputed in the page in double precision from the model's stored q, k and v:
 *
 *     softmax(q·k / √d + mask) v           (Vaswani et al. 2017, equation 1)
 */
import { layers, matrix, sizes } from "./data.js";

/** The inner product: large where two vectors point the same way, negative where they point apart. */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** In the decoder's self-attention a query may not look at what comes after it. */
export const hidden = (kind, query, key) => kind === "decoder_self" && key > query;

/**
 * Shares of a row of scores; −∞ gets exactly 0. The largest score is taken off first, as every library does: the
 * shares are the same and nothing overflows. A row of −∞ alone gives zeros.
 */
export function softmax(scores) {
  const top = Math.max(...scores);
  const exps = scores.map((s) => (top === -Infinity ? 0 : Math.exp(s - top)));
  const sum = exps.reduce((a, b) => a + b, 0) || 1;
  return exps.map((e) => e / sum);
}

/** Σ α v, with `count` keys added so far (all, if not given). */
export function mix(weights, values, count = weights.length) {
  const sum = new Float64Array(values[0].length);
  for (let k = 0; k < count; k++) for (let i = 0; i < sum.length; i++) sum[i] += weights[k] * values[k][i];
  return sum;
}

/**
 * One query's whole way through one head.
 * @returns {{q, keys, values, products, scaled, masked, weights, mixed}} products = q·k, scaled = ÷√d, masked = −∞
 *   where hidden, weights = shares, mixed = Σ α v
 */
export function follow(kind, layer, head, query) {
  const q = matrix(`${kind}.queries`, layer, head)[query];
  const keys = matrix(`${kind}.keys`, layer, head);
  const values = matrix(`${kind}.values`, layer, head);
  const products = keys.map((k) => dot(q, k));
  const scaled = products.map((p) => p / Math.sqrt(q.length));
  const masked = scaled.map((s, key) => (hidden(kind, query, key) ? -Infinity : s));
  const weights = softmax(masked);
  return { q, keys, values, products, scaled, masked, weights, mixed: mix(weights, values) };
}

/** The largest difference between the page's and the model's own numbers in one head: of weights, and of Σ α v. */
function difference(kind, layer, head) {
  const weights = matrix(`${kind}.weights`, layer, head);
  const mixed = matrix(`${kind}.heads`, layer, head);
  const largest = { weights: 0, mixed: 0 };
  for (let query = 0; query < sizes(kind)[0]; query++) {
    const own = follow(kind, layer, head, query);
    own.weights.forEach((w, k) => (largest.weights = Math.max(largest.weights, Math.abs(w - weights[query][k]))));
    own.mixed.forEach((x, i) => (largest.mixed = Math.max(largest.mixed, Math.abs(x - mixed[query][i]))));
  }
  return largest;
}

/** Every cell of every head of one attention against the model; one layer at a time, so that the page stays awake. */
export async function check(kind, heads) {
  const largest = { weights: 0, mixed: 0 };
  for (let layer = 0; layer < layers(kind); layer++) {
    await new Promise((resolve) => setTimeout(resolve));
    for (let head = 0; head < heads; head++) {
      const found = difference(kind, layer, head);
      largest.weights = Math.max(largest.weights, found.weights);
      largest.mixed = Math.max(largest.mixed, found.mixed);
    }
  }
  const [Q, K] = sizes(kind);
  return { ...largest, cells: layers(kind) * heads * Q * K };
}
