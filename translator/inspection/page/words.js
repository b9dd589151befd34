/** Pieces ↔ words, marks hidden or not: the same rules as `translator/inspection/words.py`. */
import { KINDS, manifest, matrix } from "./data.js";

/**
 * What rows or columns stand for: {text, places, special, unknown}. `pieces` are places in the sentence; merged,
 * neighbours of one word become one unit.
 */
function units(sentence, pieces, merged) {
  const found = [];
  pieces.forEach((piece, place) => {
    const { word, piece: text } = sentence.pieces[piece];
    const whole = word === null ? null : sentence.words[word];
    const last = found.at(-1);
    if (merged && whole && last?.word === whole) last.places.push(place);
    else found.push({ text: merged && whole ? whole.text : text, places: [place], word: whole, special: !whole || whole.punctuation, unknown: whole?.known === false });
  });
  return found;
}

/** The rows and columns of an attention; a decoder row counts for the piece it predicts or for the one it reads. */
function axes(kind, { merged = false, reading = "predicts" } = {}) {
  const english = manifest.source.pieces.map((_, i) => i);
  const steps = manifest.target.pieces.slice(1).map((_, i) => i);
  const side = (name, shift) => (name === "source" ? units(manifest.source, english, merged) : units(manifest.target, steps.map((i) => i + shift), merged));
  return { queries: side(KINDS[kind].queries, reading === "predicts" ? 1 : 0), keys: side(KINDS[kind].keys, 0) };
}

/**
 * The map to show: rows and columns of units, and weights that sum to 1 in each row but for norms in pieces.
 * Merging sums over a key word's pieces and takes the mean over a query word's. Without marks, rows are scaled back to
 * 1 and `lost` has the share that lay on them.
 */
export function view(kind, layer, head, { merged, marks, norms, reading }) {
  let { queries, keys } = axes(kind, { merged, reading });
  const cells = matrix(`${kind}.${norms ? "norms" : "weights"}`, layer, head);
  let weights = queries.map((query) =>
    keys.map((key) => {
      let sum = 0;
      for (const i of query.places) for (const j of key.places) sum += cells[i][j];
      return sum / query.places.length;
    }));
  const sum = (row) => row.reduce((a, b) => a + b, 0);
  if (norms) weights = weights.map((row) => row.map((w) => w / (sum(row) || 1)));
  let lost = weights.map(() => 0);
  if (!marks) {
    const shown = weights.map((row) => row.filter((_, j) => !keys[j].special));
    lost = shown.map((row, i) => sum(weights[i]) - sum(row));
    weights = shown.map((row) => row.map((w) => (sum(row) > 0 ? w / sum(row) : 0)));
    const kept = queries.map((unit) => !unit.special);
    [weights, lost, queries] = [weights, lost, queries].map((list) => list.filter((_, i) => kept[i]));
    keys = keys.filter((unit) => !unit.special);
  }
  return { queries, keys, weights, lost };
}
