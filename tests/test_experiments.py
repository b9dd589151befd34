"""docs/attention.md: each experiment runs and does what it says, each quotation stands in the code."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from docs import experiments
from tests.toy import ROOT, ToyRun
from translator import Translator
from translator.attention import Captured, capture
from translator.checkpoint import RunDirectory
from translator.inspection.maps import Kind, attention_layers, captured_by_kind
from translator.tokenizer import BOS, EOS

ENGLISH, KOREAN = "Jimin buys milk.", "지민은 우유를 사요."


@pytest.fixture(scope="module")
def path(toy_run: ToyRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the toy run; beside it the experiments train for six steps."""
    folder = tmp_path_factory.mktemp("experiments")
    shutil.copytree(toy_run.path, folder / "run")
    (folder / "x.tsv").write_text(f"{ENGLISH}\t{KOREAN}\nI like bread.\t저는 빵을 좋아해요.\n", encoding="utf-8")
    (folder / "x.align").write_text("0-0 1-2 2-1\n0-0 1-2 2-1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RECIPE": toy_run.config,
            "SHORT": ["train.max_steps=6", "validation.samples=[]", "checkpoint.snapshots=0"],
            "TEST": folder / "x.tsv",
            "GOLD": folder / "x.align",
            "SENTENCE": ENGLISH,
            "TRANSLATION": KOREAN,
            "SHOWN": [ENGLISH],
        }.items():
            patch.setattr(experiments, name, value)
        yield folder / "run"


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_every_experiment_prints_and_draws(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (path / "best/model.safetensors").read_bytes()
    monkeypatch.setattr(sys, "argv", ["experiments.py", name, str(path)])
    experiments.main()
    titles, _, kinds = zip(*experiments.EXPERIMENTS[name](path), strict=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(titles) > 1
    assert [line[:34].strip() for line in lines if line[34:35] == " " and line[:1].strip()] == list(titles)
    picture = path / "experiments" / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG") if any(kinds) else not picture.exists()
    assert (path / "best/model.safetensors").read_bytes() == before


def ids(translator: Translator) -> tuple[Tensor, Tensor]:
    """The sentence and its translation as the model reads them."""
    source = [*translator.english.encode(ENGLISH), EOS]
    return torch.tensor([source]), torch.tensor([[BOS, *translator.korean.encode(KOREAN)]])


@torch.no_grad()
def scores(translator: Translator) -> Tensor:
    """Of the next piece, at each place of the translation: T V."""
    logits: Tensor = translator.model(*ids(translator))[0]
    return logits


@torch.no_grad()
def looks(translator: Translator, kind: Kind) -> list[Captured]:
    """What the layers of one attention compute for the sentence."""
    with capture(translator.model) as captured:
        translator.model(*ids(translator))
    return [seen for seen, _ in captured_by_kind(translator.model, captured)[kind]]


def test_temperature_goes_from_looking_everywhere_to_looking_at_one_piece(path: Path) -> None:
    normal = scores(experiments.loaded(path))
    for title, translator, _ in experiments.temperature(path):
        factor = float(title.split()[-1])
        weights = torch.stack([seen.weights for seen in looks(translator, "cross")])
        if factor == 0:
            torch.testing.assert_close(weights, torch.full_like(weights, 1 / weights.size(-1)))
        elif factor == 1:
            torch.testing.assert_close(scores(translator), normal, atol=1e-4, rtol=1e-4)
        elif factor == 1000:
            assert weights.amax(-1).mean() > 0.95
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_swapped_queries_and_keys_transpose_the_scores(path: Path) -> None:
    (_, normal, _), (_, swapped, _), *_ = experiments.swap(path)
    [before, *_], [after, *_] = looks(normal, "encoder_self"), looks(swapped, "encoder_self")
    torch.testing.assert_close(after.scores, before.scores.transpose(-2, -1))
    assert not torch.allclose(after.scores, before.scores, atol=1e-2)


@torch.no_grad()
def test_a_silenced_head_adds_nothing_and_comes_back(path: Path) -> None:
    normal = scores(experiments.loaded(path))
    same = {}
    for title, translator, _ in experiments.silence(path):
        same[title] = torch.equal(scores(translator), normal)
        projection = attention_layers(translator.model)["cross"][0].output
        seen = looks(translator, "cross")[0]
        if title == "without layer 1, head 1":
            width = seen.heads.size(-1)
            second = seen.heads[0, 1] @ projection.weight[:, width:].T + projection.bias
            torch.testing.assert_close(seen.outputs[0], second)
        elif title == "without layer 1":
            torch.testing.assert_close(seen.outputs[0], projection.bias.expand_as(seen.outputs[0]))
    assert [title for title in same if same[title]] == ["normal"]
    assert len(same) == 1 + 4 + 2 + 1  # normal, heads, layers, all but one head
    assert torch.equal(scores(translator), normal)


def test_uniform_attention_gives_every_key_the_same_weight(path: Path) -> None:
    for title, translator, _ in experiments.uniform(path):
        for number, seen in enumerate(looks(translator, "cross"), start=1):
            flat = torch.allclose(seen.weights, torch.full_like(seen.weights, 1 / seen.weights.size(-1)))
            assert flat == (str(number) in title), title


def test_without_cross_attention_the_english_makes_no_difference(path: Path) -> None:
    different = []
    for _, translator, _ in experiments.blind(path):
        source, target = ids(translator)
        with torch.no_grad():
            different.append(not torch.equal(translator.model(source.flip(1), target)[0], scores(translator)))
    assert different == [True, False]


def test_without_root_the_scores_are_the_inner_products(path: Path) -> None:
    for title, translator, _ in experiments.no_root(path):
        seen = looks(translator, "cross")[0]
        products = seen.queries @ seen.keys.transpose(-2, -1)
        root = seen.queries.size(-1) ** (0 if "without" in title else 0.5)
        torch.testing.assert_close(seen.scores, products / root)


def test_without_the_mask_the_past_depends_on_the_future(path: Path) -> None:
    depends = []
    for _, translator, _ in experiments.no_mask(path):
        source, target = ids(translator)
        other = target.clone()
        other[0, -1] = BOS
        with torch.no_grad():
            depends.append(not torch.allclose(translator.model(source, other)[0, :-1], scores(translator)[:-1]))
    assert depends == [False, True]


def test_without_positions_the_encoder_knows_no_order(path: Path) -> None:
    knows = []
    for _, translator, _ in experiments.no_positions(path):
        source, _ = ids(translator)
        order = torch.arange(source.size(1)).roll(2)
        with torch.no_grad():
            mixed = translator.model.encode(source[:, order]).states
            knows.append(not torch.allclose(mixed, translator.model.encode(source).states[:, order], atol=1e-5))
    assert knows == [True, False]


def test_settings_reach_the_model(path: Path) -> None:
    (_, normal, _), (_, one_head, _), (_, one_layer, _) = experiments.small(path)
    assert looks(one_head, "cross")[0].weights.size(1) == 1 < looks(normal, "cross")[0].weights.size(1)
    assert len(looks(one_layer, "cross")) == 1 < len(looks(normal, "cross"))
    assert len(list(experiments.characters(path))) == 2  # the toy's pieces are few enough already
    sizes = RunDirectory(path.parent / "short-characters").config().tokenizer
    assert (sizes.english_size, sizes.korean_size) == (310, 770)


PAGES = ROOT / "docs/attention.md", ROOT / "docs/attention.ko.md"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language: `py` quotes the project's code, `python` and `sh` can be run."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_lines_stand_in_the_code(page: Path) -> None:
    files = [*(ROOT / "translator").glob("*.py"), ROOT / "docs/experiments.py"]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    code = {line.partition("  # type: ignore")[0].strip() for line in lines}
    quoted = [line for block in blocks(page, "py") for line in block.splitlines()]
    assert len(quoted) > 15
    assert [line for line in quoted if line not in code] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_the_page_runs(page: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Translator.load
    monkeypatch.setattr(Translator, "load", lambda run: load(path))
    examples = blocks(page, "python")
    assert len(examples) == 4
    for example in examples:
        exec(example, {})


def test_both_pages_have_the_same_commands_quotes_figures_and_pictures() -> None:
    english, korean = PAGES
    for language in ("py", "sh"):
        assert blocks(english, language) == blocks(korean, language)
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    tables = [re.findall(r"^\|.*", text, re.MULTILINE) for text in texts]
    figures = [[re.findall(r"−?\d+(?:[.,]\d+)*", row) for row in rows] for rows in tables]
    assert figures[0] == figures[1]
    pictures = [re.findall(r"example/([\w-]+)[\w.-]*\.png", text) for text in texts]
    assert pictures[0] == pictures[1]
    run = re.findall(r"docs/experiments\.py (\S+)", texts[0])
    assert run == list(experiments.EXPERIMENTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link in anchors if link.startswith("#") else (page.parent / link.split("#")[0]).exists(), link
