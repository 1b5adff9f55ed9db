# Two targets matter to a newcomer: `make demo` and `make test`. Both prepare .venv by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than two cores: tests in a browser wait more than they compute.
JOBS ?= 3

.PHONY: help demo test lint types clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@sed -nE 's/^([a-z.]+):.*## (.*)/\1 \2/p' $(MAKEFILE_LIST) | \
	  while read -r name text; do printf '  make %-6s %s\n' "$$name" "$$text"; done

.venv: $(VENV)/.stamp-test  ## the Python environment with everything that checks and trainings need

demo: $(VENV)/.stamp-run  ## ask about a sample clip: answers, what they rest on, seconds
	$(BIN)/assistant demo

test: lint types  ## style, types and tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder  # what a file sets up is set up once

lint: $(VENV)/.stamp-test  ## style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp-test  ## types only
	$(BIN)/mypy

clean:  ## remove the environment and everything that was built (not your cache: assistant cache --clear)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find assistant ui prompts adapters tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml when the environment holds what pyproject.toml asks for.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11 or newer: name one, for example make PYTHON=python3.12 test" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "this Python cannot make environments: on Debian or Ubuntu, apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.stamp-run: $(VENV)/.stamp-venv pyproject.toml
	$(BIN)/python -m pip install -e .
	touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-venv pyproject.toml
	$(BIN)/python -m pip install -e '.[test,train]'
	touch $@ $(VENV)/.stamp-run
