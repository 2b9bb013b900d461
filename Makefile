# Two commands do everything on a machine that has Python 3.11 or newer and make:
#   make demo    trains a classifier of handwritten digits, saves it, loads it, draws predictions
#   make test    runs the whole suite
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test bench check format clean

demo: $(VENV)/demo
	$(BIN)/python examples/digits.py

test: $(VENV)/test
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --quiet

bench: $(VENV)/test
	$(BIN)/python benchmarks/compare.py

check: $(VENV)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python tools/floors.py
	$(BIN)/python tools/size.py

format: $(VENV)/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/demo

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
