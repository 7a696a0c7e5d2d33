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

.PHONY: demo test test-interop lint docs clean

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

test-interop: $(VENV)/.installed-interop  ## Compare with PyTorch.
	$(BIN)/python -m pytest $(PYTEST) tests/interop

lint: $(VENV)/.installed-test  ## Style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/.installed-docs  ## Build the docs into site/, links checked.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## Remove the environment and everything that was built or run.
	rm -rf $(VENV) runs site .cache

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
