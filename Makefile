# Everything a first run needs is set up here: the Python packages go into .venv, nothing else is
# touched. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2
# Without simulations and tools: what a change of nn, machine, engines or mapper breaks first.
QUICK := tests/test_arrows.py tests/machine tests/engines/common/test_nest.py tests/engines/common/test_pack.py \
  tests/mapper/test_fold.py tests/mapper/test_allocate.py tests/nn/test_reference.py tests/nn/test_importer.py \
  tests/nn/test_passes.py tests/nn/test_simplify.py tests/nn/test_host.py tests/nn/test_errors.py tests/nn/test_names.py

# Simulations run make themselves; they must not see this one's flags and job server.
unexport MAKEFLAGS MFLAGS MAKELEVEL

.PHONY: help demo quick test test-full lint clean tools
.DEFAULT_GOAL := help

help:
	@echo 'make demo       compile the digits network for a ULX3S-85F and simulate it against the reference'
	@echo 'make quick      the quickest tests, for the inner loop'
	@echo 'make test       the tests, without the slow ones'
	@echo 'make test-full  all tests'
	@echo 'make lint       ruff (rules and format) and pyright'
	@echo 'make clean      remove what was built, and .venv'

demo: $(STAMP)
	@$(BIN)/python examples/digits/demo.py

quick: $(STAMP)
	@$(BIN)/python -m pytest -q -n $(JOBS) -m 'not slow' $(QUICK)

test: $(STAMP)
	@$(BIN)/python -m pytest -q -n $(JOBS) -m 'not slow'

test-full: $(STAMP)
	@$(BIN)/python -m pytest -q -n $(JOBS)

lint: $(STAMP)
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/pyright --pythonpath $(BIN)/python || status=1; \
	$(BIN)/python bench/floors.py || status=1; \
	exit $$status

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The tools that pip cannot bring, each with the Debian package that has it.
tools:
	@missing=; \
	need() { command -v "$$1" >/dev/null 2>&1 || missing="$$missing  $$1 (Debian package: $$2)\n"; }; \
	need '$(PYTHON)' python3; need g++ g++; need make make; need perl perl; \
	if command -v '$(PYTHON)' >/dev/null 2>&1; then \
	  '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || missing="$$missing  Python 3.11 or newer, which '$(PYTHON)' is not (Debian package: python3; another one: make PYTHON=python3.12)\n"; \
	  '$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null \
	    || missing="$$missing  the venv module of '$(PYTHON)' (Debian package: python3-venv)\n"; \
	fi; \
	if [ -n "$$missing" ]; then printf "weft needs, and did not find:\n$$missing" >&2; exit 1; fi

# A change of pyproject.toml installs again; a change of the sources needs nothing (-e).
$(STAMP): pyproject.toml | tools
	@echo 'weft: setting up $(VENV) (once; about 1 GB of packages)'
	@'$(PYTHON)' -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m find_libpython >/dev/null || { \
	  printf 'weft needs, and did not find:\n  the shared Python library, for cocotb (Debian package: libpython3-dev)\n' >&2; exit 1; }
	@touch $@
