"""How fast translations are written: this decoder, its CTranslate2 export and Hugging Face `generate` in one run.

    python benchmarks/decode_speed.py forced --peer-python .peer/bin/python
    python benchmarks/decode_speed.py runs/everyday --sentences english.txt --peer-python .peer/bin/python

"forced": 20 pieces of Korean for 20 of English by random weights of a fixed size (width 256, 4 + 4 layers,
feed-forward 1,024, 8,000 pieces). A run: its translations of a file of sentences, which end when they end. Every
engine is a process of its own with the same weights; they take turns, and the medians of the rounds are printed.
`--peer-python` is a Python that has `transformers` (for instance an environment of its own).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENGINES = ("torch float32", "torch bfloat16", "ctranslate2 float32", "ctranslate2 int8")
PEER = "generate float32"
FORCED = 20
"""Pieces, in and out."""

Translate = Callable[[list[list[int]], int, int, int | None], list[list[int]]]
"""Sources, batch size, beam, forced length or None → Korean ids."""


def main() -> None:
    """Parse the arguments; start the engines; let them take turns; print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help='"forced", or a run directory (pre-norm, tied, as by default)')
    parser.add_argument("--sentences", type=Path, help="file of English sentences, a line each")
    parser.add_argument("--peer-python", help="a Python with transformers installed")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)  # an engine's name: be that engine
    args = parser.parse_args()
    if args.serve:
        return serve(args.serve, Path(args.what))
    with tempfile.TemporaryDirectory() as folder:
        prepare(args.what, args.sentences, Path(folder))
        processes = {name: start(sys.executable, name, folder) for name in ENGINES}
        if args.peer_python:
            processes[PEER] = start(args.peer_python, PEER, folder)
        last = list(processes)[-1]
        print(f"| batch | beam | engine | tokens/s | ms a sentence | times {last} | peak MB | as {last} |")
        print("|---:|---:|---|---:|---:|---:|---:|---:|")
        for batch in args.batches:
            for beam in args.beams:
                table(processes, batch, beam, args.rounds)
        for process in processes.values():
            process.communicate()


def table(processes: dict[str, subprocess.Popen[str]], batch: int, beam: int, rounds: int) -> None:
    """Rows of one batch size and beam."""
    asked = [{name: ask(process, batch, beam) for name, process in processes.items()} for _ in range(rounds + 1)]
    last = asked[0][list(processes)[-1]]
    speeds = {}
    for name in reversed(processes):
        figures = asked[0][name]
        seconds = statistics.median(turn[name]["seconds"] for turn in asked[1:])  # the first round warms up
        speeds[name] = figures["tokens"] / seconds
        same = sum(a == b for a, b in zip(figures["found"], last["found"], strict=True)) / len(last["found"])
        ratio = speeds[name] / next(iter(speeds.values()))
        milliseconds = 1000 * seconds / len(last["found"])
        peak = max(turn[name]["peak"] for turn in asked)
        print(f"| {batch} | {beam} | {name} | {speeds[name]:,.0f} | {milliseconds:.2f} | {ratio:.2f} |"
              f" {peak:,.0f} | {same:.0%} |", flush=True)  # fmt: skip


def prepare(what: str, sentences: Path | None, folder: Path) -> None:
    """Put a run and `task.json` (what the peer needs to know, sources, forced length) into `folder`."""
    import dataclasses
    import shutil

    import torch

    from translator.checkpoint import RunDirectory
    from translator.config import Config, ModelConfig, TokenizerConfig
    from translator.model import Transformer, sinusoids
    from translator.tokenizer import Tokenizer

    run = RunDirectory(folder / "run")
    rng = random.Random(0)
    if what == "forced":
        words = ["".join(rng.choices("aeioubdgklmnprst", k=rng.randint(3, 7))) for _ in range(30000)]
        tokenizer = Tokenizer.train(words, 8000, TokenizerConfig(type="bpe"))
        config = Config(model=ModelConfig(256, 4, 4, 4, 1024, dropout=0.0))
        run.save_config(config)
        for language in ("en", "ko"):
            run.save_tokenizer(language, tokenizer)
        run.save_known_words(set())
        torch.manual_seed(0)
        run.save_weights("best/model", Transformer(config.model, tokenizer.size, tokenizer.size), {})
        sources = [[rng.randrange(4, tokenizer.size) for _ in range(FORCED - 1)] for _ in range(128)]
    else:
        unused = shutil.ignore_patterns("checkpoints", "snapshots", "tensorboard", "export", "attention")
        shutil.copytree(what, folder / "run", ignore=unused)
        config = run.config()
        assert sentences is not None, "a run needs --sentences"
        english = run.tokenizer("en")
        sources = [english.encode(line) for line in sentences.read_text(encoding="utf-8").splitlines()]
    forced = FORCED if what == "forced" else None
    positions = (config.model.position_scale * sinusoids(512, config.model.width)).tolist()
    sizes = dataclasses.asdict(config.model)
    task = {"model": sizes, "positions": positions, "sources": sources, "forced": forced}
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")


def start(python: str, name: str, folder: str) -> subprocess.Popen[str]:
    """An engine in a process of its own."""
    command = [python, str(Path(__file__).resolve()), folder, "--serve", name]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(process: subprocess.Popen[str], batch: int, beam: int) -> Any:
    """Let an engine translate all once: {"seconds", "peak" (MB), "found" (ids)}."""
    assert process.stdin is not None and process.stdout is not None
    print(batch, beam, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def serve(name: str, folder: Path) -> None:
    """Be an engine: a line "batch beam" in, a line of figures out."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    translate = peer(folder, task) if name == PEER else own(folder, *name.split())
    for line in sys.stdin:
        batch, beam = map(int, line.split())
        sources = task["sources"][: max(batch, 16)] if task["forced"] else task["sources"]
        reset_peak()
        begin = time.perf_counter()
        found = translate(sources, batch, beam, task["forced"])
        seconds = time.perf_counter() - begin
        tokens = len(found) * FORCED if task["forced"] else sum(len(ids) + 1 for ids in found)
        print(json.dumps({"seconds": seconds, "tokens": tokens, "peak": peak(), "found": found}), flush=True)


def own(folder: Path, engine: Any, precision: Any) -> Translate:
    """This project's engines."""
    from translator.decoding import Search, decode_all
    from translator.translate import Translator

    translator = Translator.load(folder / "run", engine=engine, precision=precision)

    def translate(sources: list[list[int]], batch: int, beam: int, length: int | None) -> list[list[int]]:
        search = Search(beam=beam, min_length=length or 0, max_length=length)
        if translator.exported:
            found = dict(translator.exported.decode_all(sources, search, batch_size=batch))
        else:
            found = dict(decode_all(translator.fast or translator.model, sources, search, batch_size=batch))
        return [found[i][0].ids for i in range(len(sources))]

    return translate


def peer(folder: Path, task: Any) -> Translate:
    """Hugging Face `generate`."""
    import torch

    from benchmarks.decode_peer import Peer

    translate: Translate = Peer(
        folder / "run/best/model.safetensors", torch.tensor(task["positions"]), task["model"]
    ).translate
    return translate


def reset_peak() -> None:
    """Start the count of peak memory anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak() -> float:
    """Most memory in use since then, MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


if __name__ == "__main__":
    main()
