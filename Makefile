# The commands of README.md and CONTRIBUTING.md. Begin with `make demo`.
PYTHON ?= python3
# The version of PyTorch that the backbones are compared with.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
# One process per core. The tests of a file run in one process, which compiles
# for all of them.
PYTEST := --numprocesses=auto --maxprocesses=4 --dist=loadfile

# The tests of `make test-fast`.
FAST ?= -m "not slow"
# Those of `make test-oldest` and `make test-newest`: what calls other libraries.
CALLING := $(FAST) $(addprefix tests/,augment convert data/clips data/store \
  data/video models options runs train test_configs.py test_losses.py)
# The Python of a version that pyenv has, or else the one on the PATH.
PYENV_ROOT ?= $(HOME)/.pyenv
python = $(or $(lastword $(sort $(wildcard \
  $(PYENV_ROOT)/versions/$(1).*/bin/python))),python$(1))

.PHONY: demo test test-fast test-interop test-oldest test-newest lint docs clean

demo: $(VENV)/.installed  ## Train and evaluate on generated videos.
	$(BIN)/python -m hdc_jax.prepare --dataset=synthetic --short_side=64 \
	  --output=$(DEMO)/data
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py \
	  --config.data.path=$(DEMO)/data --workdir=$(DEMO)/pretrain
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py:task=retrieve \
	  --config.data.path=$(DEMO)/data --config.checkpoint=$(DEMO)/pretrain \
	  --workdir=$(DEMO)/retrieve

test: $(VENV)/.installed-test  ## The whole test suite.
	$(BIN)/python -m pytest $(PYTEST) --ignore=tests/interop

test-fast: $(VENV)/.installed-test  ## The tests to run while you work.
	$(BIN)/python -m pytest $(PYTEST) --ignore=tests/interop $(FAST)

test-interop: $(VENV)/.installed-interop  ## Compare with PyTorch.
	$(BIN)/python -m pytest $(PYTEST) tests/interop

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
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-interop: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	touch $@

$(VENV)/.installed-docs: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@ $(VENV)/.installed

.venv-oldest/.installed: PYTHON := $(call python,3.11)
.venv-oldest/.installed: RESOLUTION := lowest-direct
.venv-newest/.installed: PYTHON := $(call python,3.13)
.venv-newest/.installed: RESOLUTION := highest

.venv-%/.installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-$*/bin/python -m uv pip install --quiet \
	  --python=.venv-$*/bin/python --resolution=$(RESOLUTION) -e '.[test]'
	touch $@
