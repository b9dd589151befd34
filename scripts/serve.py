"""Serve the page of a trained run: type English, watch it translated, look at the attention of your own sentence.

    python scripts/serve.py runs/everyday
    python scripts/serve.py runs/everyday --port 8080

Open the address that it prints. Ctrl-C ends it. It answers this machine alone, and asks nothing of any other.
"""

from __future__ import annotations

import argparse

from translator.errors import run


def main() -> None:
    """Parse the arguments, serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free (default: 8000)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1: this machine)"
    )
    parser.add_argument("--let-others-connect", action="store_true", help="needed for any other --host: whoever "
                        "can reach that address can use the page, without a password")  # fmt: skip
    args = parser.parse_args()

    from translator.server import serve

    serve(args.run, args.host, args.port, args.let_others_connect)


if __name__ == "__main__":
    run(main)
