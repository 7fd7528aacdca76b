# `make` lists the verbs. Everything runs in .venv, which `make env` builds from requirements.lock.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= bundled
DEVICE ?= auto
SEED ?= 0
PORT ?= 8000
THREADS ?= 1
FIG ?=
JOBS = $(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),2)

PY = $(VENV)/bin/python
LOCKED = $(VENV)/.locked
STAMP = $(VENV)/.stamp
NOTEBOOKS = $(wildcard notebooks/*.ipynb)
RUN = $(PY) tools/run_notebooks.py --device $(DEVICE) --threads $(THREADS) --jobs $(JOBS)
BOOK = $(VENV)/bin/jupyter-book build . --path-output book --quiet -W -n --keep-going
FRESH = book/_build/.fresh
OTHERS = runs/others
LONG = tests/test_paper.py  # first: it takes minutes, and the others go on beside it
PAGES = tests/test_book.py tests/test_live.py
TWO = OMP_NUM_THREADS=$(THREADS) xargs -P 2  # processes at once, each with some of the names that it reads
FORGET = { rm -rf book/_build; echo "The book did not build: see the warnings above." >&2; exit 1; }

export JUPYTER_PREFER_ENV_PATH = 1
export REPOSITORY BRANCH
.DEFAULT_GOAL := help
.PHONY: help env reproduce notebooks test book serve train bench verify clean

help:
	@echo "make env        build $(VENV) from requirements.lock (nothing to do when it is up to date)"
	@echo "make reproduce  env, every notebook, the book   [PROFILE=$(PROFILE) DEVICE=$(DEVICE)]"
	@echo "make test       every test: sources, notebooks, a strict build of the book, its pages in a browser"
	@echo "make book       build the book from the notebooks of PROFILE into book/_build/html, and one file with PDF=1"
	@echo "make serve      build the book and show it on 127.0.0.1   [PORT=$(PORT)]"
	@echo "make train      train the bundled model again   [SEED=$(SEED)]"
	@echo "make bench      time the methods and the evaluation on this machine"
	@echo "make verify     check weights, scenes and the ledger of claims; with FIG=5, FIG=table2 or a page's FIG: its notebook again, up to it"
	@echo "make clean      remove what was built, but not $(VENV)"

env: $(STAMP)

$(LOCKED): requirements.lock
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "make env: no '$(PYTHON)' here. Install Python 3.11, 3.12 \
	or 3.13, or name yours: make env PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "make env: \
	$(PYTHON) is `$(PYTHON) --version 2>&1`; 3.11, 3.12 or 3.13 is needed. Name one: make env \
	PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --requirement requirements.lock
	@touch $@

$(STAMP): $(LOCKED) pyproject.toml
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

reproduce: $(if $(filter paper%,$(PROFILE)),notebooks,book)

notebooks: $(STAMP)
	@$(RUN) --profile $(PROFILE)$(if $(ONLY), --only $(ONLY))

book: notebooks $(FRESH)
	@$(BOOK) >/dev/null || $(FORGET)
	@echo "The book is in book/_build/html."
	$(if $(PDF),$(PY) tools/pdf.py)

# the builder does not see that these have changed
$(FRESH): _config.yml $(wildcard tools/book*.py) $(shell find assets -type f)
	@rm -rf book/_build && mkdir -p book/_build && touch $@

serve: book
	$(PY) -m http.server --bind 127.0.0.1 --directory book/_build/html $(PORT)

test: $(STAMP)
	$(if $(NOTEBOOKS),$(PY) tools/nbref.py check $(NOTEBOOKS))
	printf '%s\n' $(LONG) $(filter-out $(LONG) $(PAGES),$(wildcard tests/test_*.py)) | $(TWO) -n 8 $(PY) -m pytest
	printf '%s\n' $(NOTEBOOKS) | $(TWO) -n 4 $(PY) -m pytest --nbval-lax --nbval-current-env
	@rm -rf book/_build
	@$(MAKE) --no-print-directory book PROFILE=quick
	printf '%s\n' $(PAGES) | $(TWO) -n 1 $(PY) -m pytest
	@$(PY) tools/browser.py

train: $(STAMP)
	$(PY) -m mmel.training --seed $(SEED) --device $(DEVICE)

bench: $(STAMP)
	@test -d $(OTHERS) || $(PY) -m pip install --quiet --no-deps --target $(OTHERS) --requirement benchmarks/others.txt || \
	echo "grad-cam could not be installed: it is left out."
	PYTHONPATH=$(OTHERS) $(PY) benchmarks/run.py
	$(PY) benchmarks/evaluation.py
	$(PY) benchmarks/page.py

verify: $(STAMP)
	$(if $(FIG),$(PY) tools/recompute.py $(FIG) --profile $(PROFILE) --device $(DEVICE),$(PY) -m mmel.cli verify)

clean:
	rm -rf book/_build executed runs build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
