# make run    installs into .venv and runs the default exercise     make test    linters and the suite
# make long   the tests that take minutes                          make clean   removes .venv and every cache
# make bench  measures bus, feeds and fusion                       make compose-test   the containers, where an engine runs
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test long compose-test lint kernels bench clean

help:
	@sed -n '1,3s/^# //p' Makefile

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "triwarn needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml
	@echo "Installing triwarn and its libraries (about a minute the first time) ..."
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/made pyproject.toml
	@echo "Installing triwarn, its libraries and the test tools (about a minute the first time) ..."
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed

run: $(VENV)/installed
	@$(BIN)/triwarn run $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kernels: $(VENV)/installed-dev
	@$(BIN)/python -m bench.kernels

test: $(VENV)/installed-dev
	@$(MAKE) --no-print-directory -j 2 lint kernels
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

long: $(VENV)/installed-dev
	$(BIN)/pytest -n 2 -m long $(ARGS)

compose-test: $(VENV)/installed-dev
	$(BIN)/pytest -m compose tests/compose $(ARGS)

bench: $(VENV)/installed
	@$(BIN)/triwarn bench latency
	@$(BIN)/triwarn bench bus
	@$(BIN)/triwarn bench sensors
	@$(BIN)/triwarn bench throughput

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
