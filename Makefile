# The commands of README.md and CONTRIBUTING.md. Begin with `make demo`.
PYTHON ?= python3
# The versions with which the backbones and what is exported are compared.
TORCH ?= torch==2.13.0 transformers==5.24.0 \
  onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2 mteb==2.26.24
# It lies beside them, see tests/interop/published_networks.py.
TORCHVISION ?= torchvision==0.28.0
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO := runs/demo
# One process more than there are cores, as some tests mostly wait. The tests of a
# file run in one process, which compiles for all of them; files in the order of
# tests/conftest.py.
PROCESSES := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PYTEST := --numprocesses=$(PROCESSES) --maxprocesses=4 --dist=loadfile \
  --no-loadscope-reorder

# The tests of `make test-fast`.
FAST ?= -m "not slow"
# Those of `make test-oldest` and `make test-newest`: what calls other libraries.
# Of tests/train, test_step.py takes whole steps, with every loss; what else is
# there calls nothing of JAX, Flax and Optax that these do not.
CALLING := $(FAST) $(addprefix tests/,augment checkpoints convert data/clips data/store \
  data/video models options runs test_configs.py train/test_optimizer.py \
  train/test_step.py)
# The Python of a version that pyenv has, or else the one on the PATH.
PYENV_ROOT ?= $(HOME)/.pyenv
python = $(or $(lastword $(sort $(wildcard \
  $(PYENV_ROOT)/versions/$(1).*/bin/python))),python$(1))

.PHONY: demo test test-fast test-slow test-interop test-oldest test-newest lint docs bench-gpu \
  clean

demo: $(VENV)/.installed  ## Train and evaluate on generated videos.
	$(BIN)/python -m hdc_jax.prepare --dataset=synthetic --short_side=64 \
	  --output=$(DEMO)/data
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py \
	  --config.data.path=$(DEMO)/data --config.probe.every=100 \
	  --workdir=$(DEMO)/pretrain
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py:task=retrieve \
	  --config.data.path=$(DEMO)/data --config.checkpoint=$(DEMO)/pretrain \
	  --workdir=$(DEMO)/retrieve

test: $(VENV)/.installed-test  ## The whole test suite.
	$(BIN)/python -m pytest $(PYTEST) --ignore=tests/interop

test-fast: $(VENV)/.installed-test  ## The tests to run while you work.
	$(BIN)/python -m pytest $(PYTEST) --ignore=tests/interop $(FAST)

test-slow: $(VENV)/.installed-test  ## Damaged inputs, full disks, kills, a long run.
	HDC_JAX_FUZZ_CASES=10000 HDC_JAX_SOAK_STEPS=5000 HDC_JAX_KILLS=200 \
	  HDC_JAX_DISK_FAULTS=10000 \
	  $(BIN)/python -m pytest $(PYTEST) tests/fuzz tests/soak tests/disks

test-interop: $(VENV)/.installed-interop  ## Compare with PyTorch.
	$(BIN)/python -m pytest $(PYTEST) tests/interop

bench-gpu: $(VENV)/.installed-gpu  ## The step on a GPU, beside PyTorch: 10 minutes.
	mkdir -p runs
	$(BIN)/python -m benchmarks.bench_gpu --config=configs/r3d18.py \
	  --json=runs/bench_gpu.json

test-oldest: .venv-oldest/.installed  ## With the oldest versions allowed.
	.venv-oldest/bin/python -m pytest $(PYTEST) $(CALLING)

test-newest: .venv-newest/.installed  ## With the newest versions allowed.
	.venv-newest/bin/python -m pytest $(PYTEST) $(CALLING)

lint: $(VENV)/.installed-test  ## Style, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check

docs: $(VENV)/.installed-docs  ## Build the docs into site/, links checked.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## Remove the environment and everything that was built or run.
	rm -rf $(VENV) .venv-oldest .venv-newest runs site .cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml setup.py | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-test: pyproject.toml setup.py | $(BIN)/python
	$(INSTALL) -e '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-interop: $(VENV)/.installed-test
	$(INSTALL) $(TORCH)
	$(INSTALL) --no-deps --upgrade --target=$(VENV)/torchvision $(TORCHVISION)
	touch $@

$(VENV)/.installed-gpu: pyproject.toml setup.py | $(BIN)/python
	$(INSTALL) -e '.[cuda]'
	$(INSTALL) $(firstword $(TORCH))
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml setup.py | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	touch $@ $(VENV)/.installed

.venv-oldest/.installed: PYTHON := $(call python,3.11)
.venv-oldest/.installed: RESOLUTION := lowest-direct
.venv-newest/.installed: PYTHON := $(call python,3.13)
.venv-newest/.installed: RESOLUTION := highest

.venv-%/.installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-$*/bin/python -m uv pip install --quiet --compile-bytecode \
	  --python=.venv-$*/bin/python --resolution=$(RESOLUTION) -e '.[test]'
	touch $@
