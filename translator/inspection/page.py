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
    manifest, arrays = _data(maps)
    script, style = modules("main"), (FOLDER / "page.css").read_text(encoding="utf-8")
    face = _face(script + manifest)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)} {_hash(face)}; "
        "font-src data:; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(maps.source.text),
        "face": face,
        "style": style,
        "manifest": manifest,
        "arrays": arrays,
        "script": script,
    }
    frame = (FOLDER / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], frame)


def modules(name: str, joined: set[str] | None = None) -> str:
    """A module of `page/` after all that it imports, as one script.

    Imports and exports fall away, so the modules share one scope: a name may be declared in one of them only.
    """
    joined = set() if joined is None else joined
    if name in joined:
        return ""
    joined.add(name)
    source = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    before = "".join(modules(used, joined) for used in IMPORT.findall(source))
    return before + f"// {name}.js\n" + re.sub(r"^export ", "", IMPORT.sub("", source), flags=re.MULTILINE) + "\n"


def _data(maps: AttentionMaps) -> tuple[str, str]:
    """The manifest, with the shapes of the arrays' blocks, and the blocks as script elements.

    An array with layers (or snapshots) is a block a layer, so that the page decodes no more than it shows.
    """
    manifest = maps.manifest()
    described, elements = {}, []
    for name, axes in manifest["arrays"].items():
        if name.endswith(COMPUTED):
            continue
        half = name.startswith("history.") or not name.endswith(EXACT)
        array = maps.arrays[name]
        blocks = array if axes[0] in ("layer", "snapshot") else array[None]
        described[name] = {"shape": blocks.shape[1:], "half": half}
        for index, block in enumerate(blocks):
            numbers = base64.b64encode(block.astype("<f2" if half else "<f4").tobytes()).decode()
            elements.append(f'<script type="text/plain" id="{name}/{index}">{numbers}</script>')
    text = json.dumps(manifest | {"arrays": described}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c"), "\n".join(elements)  # no text of the user's can end the element


def _face(text: str) -> str:
    """The font as a style sheet's @font-face, with only the characters of `text`."""
    options = subset.Options()
    options.flavor, options.hinting, options.layout_features = "woff", False, []
    font = TTFont(FONT, lazy=True, recalcTimestamp=False)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes={ord(c) for c in text} | set(range(0x20, 0x7F)))
    cutter.subset(font)
    font.flavor = options.flavor
    file = io.BytesIO()
    font.save(file)
    data = base64.b64encode(file.getvalue()).decode()
    return f'@font-face{{font-family:"EnKo Page";src:url(data:font/woff;base64,{data})}}'


def _hash(text: str) -> str:
    """The source expression that a content security policy knows an inline script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
