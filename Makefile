# Everything a newcomer needs: `make demo`, then `make test`.
PYTHON ?= python3
# A build for CPU wherever pip can find one, by this version.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
# A process per core; tests of a file share what they have compiled.
PYTEST := --numprocesses=auto --maxprocesses=4 --dist=loadfile

.PHONY: demo test test-interop lint clean

demo: $(VENV)/.installed  ## Pretrain and evaluate on generated videos (CPU).
	$(BIN)/python -m hdc_jax.prepare --dataset=synthetic --short_side=64 \
	  --output=$(DEMO)/data
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py \
	  --config.data.path=$(DEMO)/data --workdir=$(DEMO)/pretrain
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py:task=retrieve \
	  --config.data.path=$(DEMO)/data --config.checkpoint=$(DEMO)/pretrain \
	  --workdir=$(DEMO)/retrieve

test: $(VENV)/.installed-test  ## The whole test suite.
	$(BIN)/python -m pytest $(PYTEST) --ignore=tests/interop

test-interop: $(VENV)/.installed-interop  ## Against PyTorch, which it installs.
	$(BIN)/python -m pytest $(PYTEST) tests/interop

lint: $(VENV)/.installed-test  ## Style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## Remove the environment and everything the demo made.
	rm -rf $(VENV) runs .cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-interop: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	touch $@
