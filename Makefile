# Two commands do everything from a bare clone: make run, make test.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DOCS   := $(VENV)/.installed-for-docs

.DEFAULT_GOAL := help

help:
	@echo "make run    set up, then play the demonstration, which learns patterns live (without a screen: learn headless)"
	@echo "make test   set up, then lint, check types and imports, and run the tests on all cores"
	@echo "make setup  set up only: .venv, pinned packages, system libraries for Qt"
	@echo "make slow   the tests that take minutes"
	@echo "make docs   the documentation as a site, in site/"
	@echo "make samples  make sample_data again from its seed"
	@echo "make clean  remove .venv and caches"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt resources/system-libraries.sh
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ptychoui needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@sh resources/system-libraries.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "Python cannot make a virtual environment; try: sudo apt-get install python3-venv"; exit 1; }
	@echo "Installing pinned packages into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	@echo "Compiling the loops over LEDs for this processor (half a minute)"
	@$(BIN)/python -c "from ptychoui.optics.forward.compiled import prepare, show_progress; [prepare(kind, show_progress) for kind in ('complex64', 'complex128')]"
	@touch $@

run: setup
	@$(BIN)/ptychoui demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports
	@echo "Checking types beside the tests"
	@$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest -n auto --dist worksteal; tests=$$?; wait $$types && exit $$tests

slow: setup
	$(BIN)/python -m pytest -n auto --dist worksteal --run-slow -m slow

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(DOCS): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

samples: setup
	$(BIN)/ptychoui simulate -o sample_data --seed 0

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist site

.PHONY: help setup run test slow docs samples clean
