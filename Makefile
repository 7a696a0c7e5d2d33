# Everything a newcomer needs: `make demo`, then `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo

.PHONY: demo test lint clean

demo: $(VENV)/.installed  ## Pretrain and evaluate on generated videos (CPU).
	$(BIN)/python -m hdc_jax.prepare --dataset=synthetic --short_side=64 \
	  --output=$(DEMO)/data
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py \
	  --config.data.path=$(DEMO)/data --workdir=$(DEMO)/pretrain
	$(BIN)/python -m hdc_jax.main --config=configs/tiny.py:task=retrieve \
	  --config.data.path=$(DEMO)/data --config.checkpoint=$(DEMO)/pretrain \
	  --workdir=$(DEMO)/retrieve

test: $(VENV)/.installed-test  ## The whole test suite.
	$(BIN)/python -m pytest

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
