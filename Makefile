# Two commands matter to a stranger: make demo, make test. Both make their own virtual environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bundle tiny schema clean

demo: $(STAMP)
	$(BIN)/python examples/demo.py $(DEMO)

test: $(STAMP) lint
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# The built-in model: ten minutes of training on the demo corpus.
bundle: $(STAMP)
	$(BIN)/distill-train corpus/demo -o build/bundle/run --minutes 10 --seed 1 --force
	$(BIN)/distill-export build/bundle/run -o runtime/distill/models/vibraphone --name vibraphone --license CC0-1.0 --force

# The bundle of 100 KB that the runtime's tests use.
tiny: $(STAMP)
	$(BIN)/python tests/make_tiny.py

schema: $(STAMP)
	$(BIN)/python -c "import json; from distill.sidecar import json_schema; print(json.dumps(json_schema(), indent=1))" > docs/sidecar.schema.json

clean:
	rm -rf build $(VENV)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(STAMP)
