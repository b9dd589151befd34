"""The page shows the model's own numbers, whatever the sentence, in a real browser and without a network."""

from __future__ import annotations

import base64
import copy
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser import Opened, browser, opened
from tests.toy import ToyRun
from translator.checkpoint import RunDirectory
from translator.inspection import page
from translator.inspection.history import add_history
from translator.inspection.maps import KINDS, AttentionMaps, Kind
from translator.translate import Translator

TEXT = "Minsu doesn't look for flowers."
LINKS: dict[Kind, str] = {"encoder_self": "encoder", "decoder_self": "decoder", "cross": "cross"}
VIEWS = ["overview", "overview.ablation", "head", "head.words.norms.unmarked.reads", "head.lines", "matrix"]
VIEWS += ["whatif", "whatif.t71.off2", "training2", "check"]
VIEWS += [f"walk{step}" for step in range(1, 9)]
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--",
    "שלום",
    "\u202egnorw",
    "e\u0301",
    "\u0301",
    "🙂",
    "\u200b",
    "&lt;",
]


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    """The toy run as a translator."""
    return Translator.load(toy_run.path)


@pytest.fixture(scope="module")
def maps(toy: Translator, toy_run: ToyRun) -> AttentionMaps:
    """Maps of one sentence, through the snapshots of the run too."""
    found = toy.attention(TEXT)
    add_history(found, RunDirectory.open(toy_run.path))
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for all tests of this file."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def file(maps: AttentionMaps, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that sentence."""
    return page.write(maps, tmp_path_factory.mktemp("page") / "x.html")


# Without a browser


def test_the_page_holds_the_arrays(maps: AttentionMaps) -> None:
    html = page.page(maps)
    manifest = json.loads(re.search(r'id="manifest">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    blocks = dict(re.findall(r'<script type="text/plain" id="([^"]+)">([^<]*)</script>', html))
    for name, array in manifest["arrays"].items():
        found = [
            np.frombuffer(base64.b64decode(blocks.pop(f"{name}/{i}")), "<f2" if array["half"] else "<f4")
            for i in range(sum(key.startswith(f"{name}/") for key in blocks))
        ]
        assert all(block.size == math.prod(array["shape"]) for block in found)
        whole = np.concatenate(found).reshape(maps.arrays[name].shape)
        np.testing.assert_allclose(
            whole, maps.arrays[name], rtol=1e-3 if array["half"] else 0, atol=1e-6 if array["half"] else 0
        )
    assert not blocks
    assert {name for name in maps.arrays if name not in manifest["arrays"]} == {f"{kind}.scores" for kind in KINDS}


def test_the_modules_are_joined_once_each() -> None:
    script = page.modules("main")
    names = re.findall(r"^// (\w+)\.js$", script, re.MULTILINE)
    assert sorted(names) == sorted(path.stem for path in page.FOLDER.glob("*.js"))
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    for name in names:  # what a module uses stands before it
        used = page.IMPORT.findall((page.FOLDER / f"{name}.js").read_text(encoding="utf-8"))
        assert all(names.index(other) < names.index(name) for other in used)


def test_every_text_has_both_languages() -> None:
    source = (page.FOLDER / "strings.js").read_text(encoding="utf-8")
    texts = re.findall(r'^  "?([\w ]+)"?: \["(.*)", "(.*)"\],$', source, re.MULTILINE)
    assert len(texts) > 100
    for key, english, korean in texts:
        assert set(re.findall(r"\{\w+\}", english)) >= set(re.findall(r"\{\w+\}", korean)), key
        assert english.strip() and korean.strip()
    keys = {key for key, _, _ in texts}
    assert len(keys) == len(texts)
    for module in page.FOLDER.glob("*.js"):
        for key in re.findall(r'\bt\("([^"]+)"', module.read_text(encoding="utf-8")):
            assert key in keys, f"{module.name}: {key}"


# In a browser


def shares(window: Opened) -> list[float]:
    """The shares that the page has computed at the walk's sixth step."""
    return [float(x) for x in window.all("tr[data-share]", "e.dataset.share")]


def walk_all(window: Opened, maps: AttentionMaps, kind: Kind, layer: int, head: int) -> None:
    """Every query of a head: the page's shares are the model's."""
    weights = maps.arrays[f"{kind}.weights"][layer, head]
    for query, row in enumerate(weights):
        window.page.evaluate(
            "link => { location.hash = link; }", f"#{LINKS[kind]}/l{layer + 1}h{head + 1}/q{query + 1}/walk6/en"
        )
        window.page.wait_for_selector(f".queries [role=radio]:nth-child({query + 1})[aria-checked=true]")
        found = shares(window)
        assert len(found) == len(row)
        np.testing.assert_allclose(found, row, atol=1e-5)


def test_opened_offline_cross_attention_can_be_walked(chromium: Browser, file: Path, maps: AttentionMaps) -> None:
    with opened(chromium, file) as window:
        assert window.page.get_by_role("tab", selected=True).inner_text() == "Overview"
        assert len(window.all(".overview .thumb canvas", "e.width")) == 2 + 4 + 4
        window.page.get_by_role("button", name="Walk through it").click()
        for step in range(1, 9):
            window.page.wait_for_selector(f"[data-step='{step}']")
            assert window.page.url.split("/")[-2] == f"walk{step}"
            window.page.keyboard.press("ArrowRight")
        for layer, head in np.ndindex(2, 2):
            walk_all(window, maps, "cross", layer, head)
        proof = window.page.locator("[data-proof=cross][data-weights]")
        proof.wait_for()
        assert 0 < float(proof.get_attribute("data-weights") or 1) <= 1e-5
        assert float(proof.get_attribute("data-mixed") or 1) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_the_models(chromium: Browser, file: Path, maps: AttentionMaps, kind: Kind) -> None:
    with opened(chromium, file, f"#{LINKS[kind]}/l1h1/q1/walk6/ko") as window:
        for layer, head in np.ndindex(*maps.arrays[f"{kind}.weights"].shape[:2]):
            walk_all(window, maps, kind, layer, head)


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_restores_what_was_shown(
    chromium: Browser, file: Path, maps: AttentionMaps, kind: Kind, lang: str
) -> None:
    with opened(chromium, file) as window:
        for view in VIEWS:
            least = int(maps.arrays[f"{kind}.weights"][0, 1, 2].argmin()) + 1
            link = f"#{LINKS[kind]}/l1h2/q3.k{least}/{view}/{lang}"
            window.go(link)
            shown = window.page.inner_text("#view")
            assert shown.strip()
            assert window.page.evaluate("document.documentElement.scrollWidth") <= 1280
            # Any change writes the link anew.
            window.page.locator("[data-focus=theme] [tabindex='0']").press("ArrowRight")
            assert window.page.evaluate("location.hash") == link


@pytest.mark.slow
def test_a_link_of_nonsense_opens_the_overview(chromium: Browser, file: Path) -> None:
    with opened(chromium, file) as window:
        for link in ("#%", "#cross/l99h0/q0.k99/walk99/xx", "#whatif.t0.off99", "#overview.nothing", "#head.<b>"):
            window.go(link)
            assert window.page.inner_text("#view").strip()


@pytest.mark.slow
def test_sums_are_shown_as_they_form(chromium: Browser, file: Path, maps: AttentionMaps) -> None:
    with opened(chromium, file, "#cross/l1h1/q1/walk6/en") as window:
        press, count = window.page.keyboard.press, maps.cross.shape[3]
        exp, share = ([float(x) for x in window.all(f"tbody td:nth-child({n})", "e.textContent")] for n in (3, 4))
        for _ in range(count):
            press("Shift+ArrowLeft")  # back to where every exp is there and no share is
        total = [float(x) for x in window.all("tfoot td", "e.textContent") if x]
        assert total == [pytest.approx(sum(exp), abs=1e-3 * count), 0]
        press("Shift+ArrowLeft")  # and one exp fewer
        assert float(window.all("tfoot td", "e.textContent")[1]) == pytest.approx(sum(exp[:-1]), abs=1e-3 * count)
        press("Shift+ArrowRight")
        press("Shift+ArrowRight")
        assert float(window.all("tfoot td", "e.textContent")[2]) == pytest.approx(share[0], abs=1e-4)


@pytest.mark.slow
def test_the_snapshots_can_be_dragged_through(chromium: Browser, file: Path, maps: AttentionMaps) -> None:
    assert maps.history is not None
    with opened(chromium, file, "#cross/l1h1/q1/training1/en") as window:
        mouse = window.page.mouse
        picture = "document.querySelector('.matrix canvas').toDataURL()"
        before = window.page.evaluate(picture)
        box = window.page.locator("#snapshot").bounding_box()
        assert box
        mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
        mouse.down()
        for part in range(1, 21):
            mouse.move(box["x"] + part / 20 * (box["width"] - 4), box["y"] + box["height"] / 2)
        mouse.up()
        last = f"/training{len(maps.history['steps'])}/en"
        assert window.page.evaluate("location.hash").endswith(last)
        assert window.page.evaluate(picture) != before


@pytest.mark.slow
def test_paper_gets_a_sheet(chromium: Browser, file: Path) -> None:
    with opened(chromium, file, "#cross/l1h1/q1/walk3/en", theme="dark") as window:
        window.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert window.page.get_attribute("html", "data-theme") == "light"
        assert not window.page.locator(".tools, .tabs, .player").filter(visible=True).count()
        assert "Layer 1, head 1" in window.page.inner_text("header")  # the chooser said it
        window.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert window.page.get_attribute("html", "data-theme") == "dark"
        assert window.page.get_by_role("button", name="Play").is_visible()


@pytest.mark.slow
def test_the_language_is_switched_in_place(chromium: Browser, file: Path) -> None:
    with opened(chromium, file, "#decoder/l2h1/q2/walk5/en") as window:
        english = window.page.inner_text("#view")
        window.page.get_by_role("radio", name="한국어").click()
        korean = window.page.inner_text("#view")
        assert window.page.get_attribute("html", "lang") == "ko" and window.page.url.endswith("/ko")
        assert "마스크" in korean and "Mask" not in korean
        window.page.get_by_role("radio", name="English").click()
        assert window.page.inner_text("#view") == english


@pytest.mark.slow
def test_the_keyboard_reaches_everything(chromium: Browser, file: Path, maps: AttentionMaps) -> None:
    with opened(chromium, file, "#cross/l1h1/q1/overview/en") as window:
        press, page_ = window.page.keyboard.press, window.page
        page_.keyboard.press("Tab")
        for _ in range(30):
            if page_.evaluate("document.activeElement.getAttribute('role')") == "tab":
                break
            press("Tab")
        press("ArrowRight")
        assert "/head/" in page_.url and page_.evaluate("document.activeElement.getAttribute('role')") == "tab"
        page_.focus("td[tabindex='0']")
        press("Home")
        press("ArrowDown")
        press("ArrowRight")
        assert re.search(r"/q2(\.k2)?/", page_.url)
        assert f"{maps.cross[0, 0, 1, 1]:.4f}" in page_.inner_text(".readout")
        press("Enter")
        assert "/q2/walk1/" in page_.url
        press("ArrowRight")
        press("ArrowRight")
        assert "/walk3/" in page_.url
        press("Shift+ArrowLeft")  # inside the step: the last key is not yet done
        assert page_.locator("tr.current").count() == 1
        press("ArrowDown")
        assert page_.locator("tr.current").count() == 0 and page_.locator("tr.chosen").count() == 1
        press(" ")
        page_.wait_for_selector("tr.pending")  # it plays
        press(" ")
        assert page_.inner_text("#play") == "Play"
        page_.focus(".strip[tabindex='0']")
        press("ArrowRight")
        assert "/walk3/" in page_.url and page_.evaluate("document.activeElement.ariaLabel").startswith("q[2] = ")


@pytest.mark.slow
def test_motion_can_be_reduced(chromium: Browser, file: Path) -> None:
    with opened(chromium, file, "#cross/l1h1/q1/walk7/en", motion="reduce") as window:
        window.page.click("#play")
        window.page.wait_for_selector("tr.current")
        before = window.page.evaluate("document.querySelector('.total canvas').toDataURL()")
        window.page.wait_for_timeout(300)
        assert window.page.evaluate("document.querySelector('.total canvas').toDataURL()") == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "view", ["overview", "head", "head.lines", "walk3", "walk7", "matrix", "training2", "check"]
)
def test_a_view_is_saved_as_a_picture(chromium: Browser, file: Path, tmp_path: Path, view: str) -> None:
    with opened(chromium, file, f"#cross/l2h1/q2/{view}/ko") as window:
        for kind in ("SVG", "PNG"):
            with window.page.expect_download() as download:
                window.page.get_by_role("button", name=kind).click()
            download.value.save_as(tmp_path / f"x.{kind.lower()}")
        svg = ElementTree.parse(tmp_path / "x.svg").getroot()
        text = "".join(svg.itertext())
        assert "flowers" in text and re.search("[가-힣]", text)
        assert "English" not in text and "다음" not in text  # nothing that one presses
        assert not [e for e in svg.iter() if e.tag.endswith(("foreignObject", "script"))]
        png = (tmp_path / "x.png").read_bytes()
        assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20]) == 2 * round(float(svg.attrib["width"]))


@pytest.mark.slow
def test_any_token_is_shown_as_text(chromium: Browser, maps: AttentionMaps, tmp_path: Path) -> None:
    maps = copy.deepcopy(maps)
    for sentence in (maps.source, maps.target):
        sentence.text = HOSTILE[0] + sentence.text + HOSTILE[2]
        for i, piece in zip(range(1, len(sentence.pieces) - 1), HOSTILE, strict=False):
            sentence.pieces[i] = piece
        first = sentence.words[0]
        first.text, first.span, first.known = HOSTILE[0], (0, len(HOSTILE[0])), False
    file = page.write(maps, tmp_path / "x.html")
    with opened(chromium, file) as window:
        for view in VIEWS:
            window.go(f"#cross/l1h1/q2/{view}/en")
            assert window.page.locator("img").count() == 0
            assert not window.all("*", "[...e.attributes].some(a => a.name === 'onerror')").count(True)
            assert HOSTILE[0] in window.page.inner_text("body")
        window.go("#cross/l1h1/q1/head/en")
        labels = window.all("thead bdi", "e.textContent")
        assert labels[1:5] == [HOSTILE[0], HOSTILE[1], HOSTILE[2], "U+202Egnorw"]


@pytest.mark.slow
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_nothing_serious_bars_anyone(chromium: Browser, file: Path, theme: str, width: int) -> None:
    with opened(chromium, file, theme=theme, width=width) as window:  # type: ignore[arg-type]
        for view in VIEWS:
            window.go(f"#decoder/l2h1/q3/{view}/ko")
            found = Axe().run(window.page).response["violations"]
            serious = [
                (view, v["id"], [node["html"] for node in v["nodes"]][:3])
                for v in found
                if v["impact"] in ("serious", "critical")
            ]
            assert serious == []


@pytest.mark.slow
def test_a_phone_shows_it_without_scrolling_sideways(chromium: Browser, file: Path) -> None:
    with opened(chromium, file, width=390, height=844) as window:
        for view in VIEWS:
            window.go(f"#cross/l2h1/q3/{view}/ko")
            assert window.page.evaluate("document.documentElement.scrollWidth") <= 390, view
            names = "svg.lines text, .tabs button, .thumb"
            assert all(window.all(names, "e.getBoundingClientRect().width > 0")), view


@pytest.mark.slow
def test_long_sentences_are_shown_through_a_window(chromium: Browser, toy: Translator, tmp_path: Path) -> None:
    maps = toy.attention(" ".join(["Minsu doesn't look for flowers."] * 20), "저는 꽃을 좋아해요. " * 16)
    file = page.write(maps, tmp_path / "long.html")
    rows, columns = maps.cross.shape[2:]
    assert min(rows, columns) > 60
    with opened(chromium, file, "#cross/l1h1/q1/head/en") as window:
        assert window.page.locator("td[role=gridcell]").count() <= 1600
        window.page.focus("td[tabindex='0']")
        for _ in range(7):
            window.page.keyboard.press("PageDown")
        window.page.keyboard.press("End")
        row = min(70, rows - 1)
        assert f"{maps.cross[0, 0, row, columns - 1]:.4f}" in window.page.inner_text(".readout")
        window.go("#cross/l1h1/q1/head.lines/en")
        assert window.page.locator("svg.lines text").count() <= 80
        window.page.focus("svg.lines [tabindex='0']")
        window.page.keyboard.press("End")
        assert f"/q{rows}/" in window.page.evaluate("location.hash")
        assert window.page.evaluate("document.activeElement.textContent").endswith("→ </s>")
        for view in ("overview", "walk3", "walk7", "matrix"):
            window.go(f"#cross/l1h1/q1/{view}/en")
            assert window.page.evaluate("document.documentElement.scrollWidth") <= 1280, view
