"""How large and how quick the page is, and pictures of it.

    python -m benchmarks.page runs/everyday
    python -m benchmarks.page runs/everyday --pictures docs/example/page

Sizes: 12 pieces on the run's model and 32 on an untrained one of 6 layers, 8 heads, width 512. Times, in headless
Chromium: from opening the file to the page standing, and from a change of the link to the changed page, the median
of five. Pictures: every view at 1280 x 800 and on a phone's width, in both languages.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from itertools import product
from pathlib import Path
from typing import Literal

import torch
from playwright.sync_api import Browser

from tests.browser import Opened, browser, opened
from translator.checkpoint import RunDirectory
from translator.config import ModelConfig
from translator.inspection import page
from translator.inspection.history import add_history
from translator.model import Transformer
from translator.translate import Translator

VIEWS = ["overview", "head", "head.lines", "matrix", "whatif", "check", *(f"walk{step}" for step in range(1, 9))]
ENGLISH, KOREAN = (
    "My younger sister is reading a book at the library. ",
    "제 여동생은 도서관에서 책을 읽고 있어요. ",
)
PAIRS = {  # about so many pieces a side: English, Korean
    12: ("My younger sister is reading a good book.", None),
    32: (ENGLISH * 2 + "I am a student.", KOREAN * 2 + "저는 학생이에요. " * 2),
    64: (ENGLISH * 5, KOREAN * 6),
    128: (ENGLISH * 10, KOREAN * 12),
}


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--pictures", type=Path, help="write pictures of every view here instead")
    args = parser.parse_args()
    translator = Translator.load(args.run)
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        file = Path(folder) / "x.html"
        if args.pictures:
            maps = translator.attention("I am a student.")
            add_history(maps, RunDirectory.open(args.run))
            take_pictures(chromium, page.write(maps, file), args.pictures)
        else:
            for name, model, pieces in [("run", translator, n) for n in PAIRS] + [
                ("6 x 8 x 512", large(translator), 32)
            ]:
                maps = model.attention(*PAIRS[pieces])
                measure(chromium, page.write(maps, file), f"{name:12} {len(maps.source.ids)} x {len(maps.reads)}")


def large(translator: Translator) -> Translator:
    """An untrained model of 6 layers, 8 heads and width 512 for the same vocabularies."""
    english, korean = translator.english, translator.korean
    torch.manual_seed(0)
    config = ModelConfig(width=512, heads=8, encoder_layers=6, decoder_layers=6)
    model = Transformer(config, english.size, korean.size)
    return Translator(model.eval(), english, korean, translator.known_words)


def measure(chromium: Browser, file: Path, name: str) -> None:
    """Print a page's size, how soon it stands, and how long each view takes."""
    with opened(chromium, file) as window:
        times = {"open": opening(window)} | {view: change(window, view) for view in VIEWS}
    steps = max(time for view, time in times.items() if view.startswith("walk"))
    print(f"{name} {file.stat().st_size / 2**20:5.2f} MiB, slowest step of the walk {steps:.0f} ms")
    print("   ", ", ".join(f"{view} {time:.0f}" for view, time in times.items()), "ms")


def take_pictures(chromium: Browser, file: Path, folder: Path) -> None:
    """Every view, at two widths, in both themes and languages."""
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for (width, height), theme in product(((1280, 800), (390, 844)), themes):
        with opened(chromium, file, width=width, height=height, theme=theme) as window:
            for view, language in product(VIEWS, ("en", "ko")):
                window.go(f"#cross/{view}/{language}")
                name = f"{view}.{language}.{width}.{theme}.png"
                window.page.screenshot(path=folder / name, full_page=width < 1000)


def opening(window: Opened) -> float:
    """Milliseconds from opening the file until the page stands and can be used."""
    times = []
    for _ in range(5):
        window.go("#cross/overview/en")
        times.append(window.page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
    return float(statistics.median(times))


def change(window: Opened, view: str) -> float:
    """Milliseconds from a change of the link until the new view has been laid out."""
    script = """async ([there, back]) => {
        const times = [];
        for (let i = 0; i < 5; i++) {
            for (const link of [back, there]) {
                const changed = new Promise((resolve) => addEventListener("popstate", resolve, { once: true }));
                const before = performance.now();
                location.hash = link;
                await changed;
                document.body.offsetHeight;
                if (link === there) times.push(performance.now() - before);
            }
        }
        return times;
    }"""
    away = "head" if view == "check" else "check"
    times = window.page.evaluate(script, [f"#cross/q2/{view}/en", f"#cross/q1/{away}/en"])
    return float(statistics.median(times))


if __name__ == "__main__":
    main()
