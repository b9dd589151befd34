# Two commands do everything on a fresh machine: `make demo` and `make test`. Both are safe to repeat.
#   PYTHON=python3.12   the Python (3.11 or newer) that makes the virtual environment
#   PIP_ARGS="..."      more arguments for pip, e.g. --extra-index-url https://download.pytorch.org/whl/cpu
#   RUN=runs/mine       another folder for the demo's run
#   DEMO_RUN=runs/mine  a trained demo for docs-check, which else trains its own
PYTHON ?= python3
PIP_ARGS ?=
RUN ?= runs/everyday
BIN := .venv/bin
# Tells Python where the code is, as seen from .venv: a folder that is renamed goes on working, and a copy of it runs
# its own code, not that of the first.
HERE := import os, sysconfig as s; p = s.get_path("purelib"); open(p + "/here.pth", "w").write(os.path.relpath(".", p))

.PHONY: help setup demo test test-slow docs-check lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       install, train on the bundled corpus, translate, draw the attention (about 8 minutes on 2 cores)"
	@echo "make test       install with the development tools and run the tests (under 4 minutes)"
	@echo "make test-slow  the long tests, a whole training and docs-check among them"
	@echo "make docs-check run every command of the documentation (a whole training, or DEMO_RUN=runs/everyday)"
	@echo "make lint       ruff and mypy"
	@echo "make clean      remove .venv and caches (runs/ stays)"

setup: .venv/core.done

demo: .venv/core.done
	@$(BIN)/python scripts/train.py configs/everyday.yaml run_dir="$(RUN)"
	@echo; echo "== Scores on the test files, none of whose sentences were trained on"
	@$(BIN)/python scripts/evaluate.py "$(RUN)" --data data/everyday/test.tsv
	@$(BIN)/python scripts/evaluate.py "$(RUN)" --data data/everyday/test_phrases.tsv
	@echo; echo "== A dozen sentences"
	@$(BIN)/python scripts/translate.py "$(RUN)" --input data/everyday/demo.txt --show-source
	@echo; echo "== Where it looked"
	@$(BIN)/python scripts/export_attention.py "$(RUN)" --source "I am a student."
	@echo; echo "Everything is in $(RUN): the model in best/, the tokenizers in tokenizer/, the attention maps in attention/."
	@echo "Open  $(RUN)/attention/i-am-a-student.html  in a browser and walk through it, and then try"
	@echo "  $(BIN)/python scripts/translate.py $(RUN) \"My younger brother bought three apples.\""
	@echo "  $(BIN)/python scripts/translate.py $(RUN)                  (a prompt)"
	@echo "  $(BIN)/python scripts/export_attention.py $(RUN) --source \"Where is the library?\""

test: .venv/all.done
	$(BIN)/python -m pytest

test-slow: .venv/all.done
	$(BIN)/python -m pytest -m slow --timeout=1200

docs-check: .venv/all.done
	$(BIN)/python -m pytest -m "slow or not slow" --timeout=1200 tests/test_docs.py

lint: .venv/all.done
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# A stamp is written only after pip has finished, so an interrupted installation starts again.
.venv/core.done: pyproject.toml | .venv/bin/pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e .
	@touch $@

.venv/all.done: pyproject.toml | .venv/bin/pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[dev,fast,logs,serve]'
	@touch $@ .venv/core.done

.venv/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "'$(PYTHON)' was not found: install Python 3.11 or newer, or name yours: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "This Python has no venv module: on Debian or Ubuntu install it with: sudo apt install python3-venv"; exit 2; }
	@echo "Installing into .venv (1.5 GB with the CPU build of torch, several with CUDA; a few minutes) ..."
	@rm -rf .venv && $(PYTHON) -m venv .venv && $(BIN)/python -c '$(HERE)'
