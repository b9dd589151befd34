"""The page: attention, step by step, in one HTML file that opens without a network.

`page/` holds it as a browser reads it: small JavaScript modules, a style sheet, the HTML around them. Here they
are joined with the maps of one sentence pair and a subset of the font. The page's content security policy admits
exactly this script and these styles, by their hashes, and nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.ttLib import TTFont

from translator.inspection.figures import FONT
from translator.inspection.maps import AttentionMaps

FOLDER = Path(__file__).parent / "page"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXACT = ("weights", "queries", "keys", "values", "heads", "logprobs")
"""What the page computes with or compares with, kept as float32; the rest is only shown, and half of that does."""
COMPUTED = (".scores",)
"""What the page computes itself."""


def write(maps: AttentionMaps, path: Path) -> Path:
    """Write the page of one sentence pair; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(maps), encoding="utf-8", newline="\n")
    return path


def page(maps: AttentionMaps) -> str:
    """The page of one sentence pair as HTML."""
    manifest, blocks = data(maps)
    script, style = modules("main"), _read("page.css")
    text = _json(manifest)
    face = _face(_subset(script + text), "woff")
    return _frame(maps, text, blocks, script, style, face, _policy(script, style, face))


def live_page(maps: AttentionMaps, offers: dict[str, Any]) -> tuple[str, str]:
    """The same page with a bar to translate with, for a server that answers it; and its security policy.

    It opens with one sentence pair and asks its own server, and nobody else, for others. Their characters are not
    known yet, so it holds the whole font. `offers` are the choices the bar has, the manifest's `live`.
    """
    manifest, blocks = data(maps)
    script, style = modules("live"), _read("page.css") + _read("live.css")
    face = _face(FONT.read_bytes(), "ttf")
    policy = _policy(script, style, face) + "; connect-src 'self'"
    return _frame(maps, _json(manifest | {"live": offers}), blocks, script, style, face, policy), policy


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _policy(script: str, *styles: str) -> str:
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {' '.join(map(_hash, styles))}; "
        "font-src data:; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _json(manifest: dict[str, Any]) -> str:
    """As the text of a script element, which no text of the user's can end."""
    return json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _frame(
    maps: AttentionMaps, manifest: str, blocks: dict[str, str], script: str, style: str, face: str, policy: str
) -> str:
    """`page.html` with all that goes into it."""
    arrays = (f'<script type="text/plain" id="{id}">{numbers}</script>' for id, numbers in blocks.items())
    parts = {
        "policy": policy,
        "title": html.escape(maps.source.text),
        "face": face,
        "style": style,
        "manifest": manifest,
        "arrays": "\n".join(arrays),
        "script": script,
    }
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], _read("page.html"))


def modules(name: str, joined: set[str] | None = None) -> str:
    """A module of `page/` after all that it imports, as one script.

    Imports and exports fall away, so the modules share one scope: a name may be declared in one of them only.
    """
    joined = set() if joined is None else joined
    if name in joined:
        return ""
    joined.add(name)
    source = _read(f"{name}.js")
    before = "".join(modules(used, joined) for used in IMPORT.findall(source))
    return before + f"// {name}.js\n" + re.sub(r"^export ", "", IMPORT.sub("", source), flags=re.MULTILINE) + "\n"


def data(maps: AttentionMaps) -> tuple[dict[str, Any], dict[str, str]]:
    """The manifest, with the shapes of the arrays' blocks, and the blocks in base64 by "name/index".

    An array with layers (or snapshots) is a block a layer, so that the page decodes no more than it shows.
    """
    manifest = maps.manifest()
    described, numbers = {}, {}
    for name, axes in manifest["arrays"].items():
        if name.endswith(COMPUTED):
            continue
        half = name.startswith("history.") or not name.endswith(EXACT)
        array = maps.arrays[name]
        layers = array if axes[0] in ("layer", "snapshot") else array[None]
        described[name] = {"shape": layers.shape[1:], "half": half}
        for index, layer in enumerate(layers):
            block = layer.astype("<f2" if half else "<f4").tobytes()
            numbers[f"{name}/{index}"] = base64.b64encode(block).decode()
    return manifest | {"arrays": described}, numbers


def _subset(text: str) -> bytes:
    """The font as WOFF, with only the characters of `text`."""
    options = subset.Options()
    options.flavor, options.hinting, options.layout_features = "woff", False, []
    font = TTFont(FONT, lazy=True, recalcTimestamp=False)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes={ord(c) for c in text} | set(range(0x20, 0x7F)))
    cutter.subset(font)
    font.flavor = options.flavor
    file = io.BytesIO()
    font.save(file)
    return file.getvalue()


def _face(font: bytes, kind: str) -> str:
    """The font as a style sheet's @font-face."""
    data = base64.b64encode(font).decode()
    return f'@font-face{{font-family:"EnKo Page";src:url(data:font/{kind};base64,{data})}}'


def _hash(text: str) -> str:
    """The source expression that a content security policy knows an inline script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
