"""A run's directory, to be shown."""

import json

import pytest

from tests.report.pages import CONFIG, RESULT, ROWS, metrics_lines


@pytest.fixture
def make_run(tmp_path):
  """A function that writes a run's directory, of files that are given."""

  def make(name="run", metrics=None, result=None, config=None):
    path = tmp_path / name
    path.mkdir(parents=True)
    if metrics is not None:
      (path / "metrics.jsonl").write_text("".join(metrics))
    for file, value in (("result", result), ("config", config)):
      if value is not None:
        (path / f"{file}.json").write_text(json.dumps(value))
    return path

  return make


@pytest.fixture
def run(make_run):
  return make_run("run", metrics_lines(), RESULT | {"rows": ROWS}, CONFIG)
