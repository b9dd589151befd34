"""What several processes gain on one machine: the same training by one process and by N, in turns.

    python benchmarks/ranks.py configs/everyday.yaml --processes 2 train.batch_tokens=4096

The cores are shared out: one process with all threads, or N with their part each. On a machine with GPUs the
processes are given one each (device=cuda).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
ROUNDS = 3


def rate(run_dir: Path, processes: int, command: list[str]) -> float:
    """Median target tokens a second, the first report left out, of a training by so many processes."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // processes))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    subprocess.run(
        [*launch, str(ROOT / "scripts" / "train.py"), *command, f"run_dir={run_dir}"],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(statistics.median([r["tokens_per_second"] for r in records if "tokens_per_second" in r][1:]))


def main() -> None:
    """Train in turns, then print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_intermixed_args()
    short = [
        "train.max_steps=50",
        "train.log_every_steps=10",
        "validation.decode_size=1",
        "checkpoint.snapshots=0",
    ]
    command = [args.config, *short, "validation.samples=[]", *args.settings]
    rates: dict[int, list[float]] = {1: [], args.processes: []}
    with TemporaryDirectory() as folder:
        for round_ in range(ROUNDS):
            for processes, found in rates.items():
                found.append(rate(Path(folder) / f"{round_}-{processes}", processes, command))
    for processes, found in rates.items():
        print(f"{processes} processes: {statistics.median(found):,.0f} target tokens/s  {found}")
    print(f"ratio {statistics.median(rates[args.processes]) / statistics.median(rates[1]):.2f}")


if __name__ == "__main__":
    main()
