# Two commands matter to a stranger: make demo, make test. Both make their own virtual environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bundle tiny schema bench-quality bench-models bench-speed bench-generation bench-interop clean

demo: $(STAMP)
	$(BIN)/python examples/demo.py $(DEMO)

test: $(STAMP) lint
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# The built-in model: 4000 steps on the demo corpus, some four minutes on one idle core.
bundle: $(STAMP)
	$(BIN)/distill-train corpus/demo -o build/bundle/run --steps 4000 --seed 1 --threads 1 --force
	$(BIN)/distill-export build/bundle/run -o runtime/distill/models/vibraphone --name vibraphone --license CC0-1.0 --force

# The bundle of 100 KB that the runtime's tests use.
tiny: $(STAMP)
	$(BIN)/python tests/make_tiny.py

schema: $(STAMP)
	$(BIN)/python -c "import json; from distill.sidecar import json_schema; print(json.dumps(json_schema(), indent=1))" > docs/sidecar.schema.json

BENCH_EXTRA = $(BIN)/python -c "import torchcrepe" 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'

# How much of a recording survives: build/quality/quality.md. QUALITY="--help" lists what it can do besides.
bench-quality: $(STAMP)
	$(BENCH_EXTRA)
	$(BIN)/python -m bench.quality $(QUALITY)

# The same with trained models, beside a VAE on the public scheme and RAVE v2 that were trained for as long: an hour for
# each category, on an idle machine. QUALITY='tonal=bells drums=kit --docs docs' chooses recordings and place.
bench-models: $(STAMP)
	$(BENCH_EXTRA)
	$(BIN)/python -m bench.quality --skip-round-trip --models minutes=1 --models minutes=10 --public-vae --rave $(QUALITY)

# Speed against other decoders: docs/speed.md and docs/speed.png. MODEL= is the bundle that is measured.
MODEL ?= runtime/distill/models/vibraphone
PEERS := build/peers/venv
bench-speed: $(STAMP) build/peers/rave_v2.onnx
	$(BIN)/python -m bench.speed.run $(MODEL)

# Does generated sound sound like the corpus, and is it more than a copy: every figure beside what is wanted of it.
# GENERATION="--docs docs" also writes the tables of docs/generation.md; "kit=recordings/kit" measures a model more.
bench-generation: $(STAMP)
	$(BIN)/python -m bench.generation $(MODEL)=corpus/demo --sweep $(GENERATION)

# The bundle's graphs in onnxruntime-node, onnxruntime-web and OpenVINO: docs/interop.md. Needs node and npm.
bench-interop: $(STAMP) $(PEERS)/.installed build/interop/node_modules
	$(BIN)/python -m bench.interop.run $(MODEL)

build/peers/rave_v2.onnx: $(PEERS)/.installed bench/speed/peers.py
	$(PEERS)/bin/python bench/speed/peers.py build/peers

# Other projects' packages live apart from ours and see our PyTorch; their own pins would contradict it.
$(PEERS)/.installed: $(STAMP) bench/speed/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > $$($(PEERS)/bin/python -c "import site; print(site.getsitepackages()[0])")/ours.pth
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps -r bench/speed/requirements.txt
	touch $@

build/interop/node_modules:
	mkdir -p build/interop
	cd build/interop && npm init -y > /dev/null && npm install --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 onnxruntime-web@1.30.0

clean:
	rm -rf build $(VENV)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(STAMP)
