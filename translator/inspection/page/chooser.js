/** What is looked at: which attention, which layer and head, which query. Above every view but the overview. */
import { KINDS, allHeads, manifest, matrix, predicts, queryPieces } from "./data.js";
import { choice, h, moved, token, visible } from "./dom.js";
import { thumbnail } from "./colour.js";
import { set, state } from "./state.js";
import { t } from "./strings.js";

/** The three attentions as a radio group. */
export function kindChoice() {
  const name = (kind) => [h("span", { class: "full" }, t(kind)), h("span", { class: "sub" }, t(`${kind}_short`))];
  const items = Object.keys(KINDS).map((kind) => [kind, name(kind), t(kind)]);
  return choice("kind", t("which"), items, state.kind, (kind) => set({ kind }), { class: "choice kinds" });
}

/** All heads of an attention as small pictures, layers down; `note` gives what stands under each. */
export function headGrid(kind, { note = null, name = "head" } = {}) {
  const columns = manifest.model.heads;
  const places = allHeads(kind);
  const chosen = state.kind === kind ? state.layer * columns + state.head : -1;
  const choose = ([layer, head]) => set({ kind, layer, head });
  const buttons = places.map(([layer, head], i) => {
    const label = t("layerHead", { layer: layer + 1, head: head + 1 });
    const noted = note?.(layer, head);
    return h("button", {
      type: "button", role: "radio", "aria-checked": String(i === chosen), tabindex: i === Math.max(chosen, 0) ? 0 : -1,
      title: label, "aria-label": noted ? `${label}: ${noted}` : label,
      class: "thumb", onclick: () => choose([layer, head]),
    }, thumbnail(matrix(`${kind}.weights`, layer, head)), noted && h("span", { class: "note" }, noted));
  });
  return h("div", {
    class: "heads", role: "radiogroup", "data-focus": name + kind, "aria-label": `${t(kind)}: ${t("heads")}`, style: { "--columns": columns },
    onkeydown: (event) => {
      const to = moved(event, Math.max(chosen, 0), places.length, columns);
      if (to !== null) choose(places[to]);
    },
  }, buttons);
}

/** The queries in their order; a decoder step shows the piece it reads and, below, the one it predicts. */
function queryChoice() {
  const target = KINDS[state.kind].queries === "target";
  const items = queryPieces(state.kind).map((piece, i) => [
    i,
    [token(piece), target && h("span", { class: "sub" }, "→ ", token(predicts[i]))],
    target ? t("queryHint", { reads: visible(piece), predicts: visible(predicts[i]) }) : visible(piece),
  ]);
  return choice("query", t("query"), items, state.query, (query) => set({ query }), { class: "choice queries" });
}

/** The whole strip: attention and query to the left, heads to the right. */
export function chooser({ query = true } = {}) {
  return h("section", { class: "chooser", "aria-label": t("which") },
    h("div", { class: "chooser-left" },
      kindChoice(),
      query && h("div", { class: "labelled" }, h("span", { class: "label", "aria-hidden": "true" }, t("query")), queryChoice())),
    h("div", { class: "chooser-heads" },
      headGrid(state.kind),
      h("p", { class: "label" }, t("layerHead", { layer: state.layer + 1, head: state.head + 1 }))));
}
