# Two commands on a fresh machine: `make demo` and `make test`. Both make .venv first; PYTHON picks the interpreter (3.11 or newer).
PYTHON ?= python3
POSEGLOT := .venv/bin/poseglot
DEMO := runs/demo

.PHONY: setup demo docs test test-all test-oldest lint clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

# Train with text on the built-in synthetic set, evaluate on unseen people, predict one of their clips, plot, report.
demo: setup
	rm -rf data/demo $(DEMO)
	$(POSEGLOT) prepare demo --out data/demo
	$(POSEGLOT) train --config demo --out $(DEMO)
	$(POSEGLOT) evaluate $(DEMO)
	$(POSEGLOT) export-clip data/demo a03_s12_e00_v02 --out $(DEMO)/unseen-clip.npy
	$(POSEGLOT) predict $(DEMO) $(DEMO)/unseen-clip.npy
	$(POSEGLOT) plot $(DEMO) --clip $(DEMO)/unseen-clip.npy
	$(POSEGLOT) report $(DEMO)

# The documentation as a site in site/, which needs no network: open site/index.html.
docs: setup
	.venv/bin/python scripts/docs_site.py build/docs
	.venv/bin/zensical build --strict --clean

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

test: lint
	.venv/bin/python -m pytest -n auto

# Everything, also what takes minutes: the demo recipe trained and measured, every recipe's first steps, long resumes.
test-all: lint
	.venv/bin/python -m pytest -n auto -m ''

# The wheel in an environment of its own, with the oldest versions that pyproject.toml admits.
test-oldest:
	scripts/test_oldest.sh

clean:
	rm -rf .venv data/demo $(DEMO) build/docs build/oldest site
