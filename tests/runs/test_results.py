"""Config and result of a run, on a disk and in a bucket."""

import json

import numpy as np

from hdc_jax import report
from hdc_jax.runs import metrics, results
from hdc_jax.runs.predictions import PREDICTIONS, Predictions
from tests import small


def test_a_result_names_device_and_versions(workdir, local):
  assert results.read_result(workdir) == {}
  written = results.write_result(workdir, {"task": "embed", "rows": []})
  assert results.read_result(workdir) == written
  assert json.loads((local / "result.json").read_text()) == written
  assert "cpu" in written["device"]
  assert written["versions"] == results.versions()
  assert "hdc-jax" in written["versions"]


def test_a_config_is_written_whole(workdir, local):
  config = small.config()
  results.write_config(workdir, config.to_dict())
  assert results.read_config(workdir) == json.loads(
    (local / "config.json").read_text()
  )
  assert results.read_config(workdir)["task"] == config.task


def test_a_whole_run_in_a_bucket(workdir, local):
  """Config, metrics, predictions and result become a page."""
  config = small.config()
  results.write_config(workdir, config.to_dict())
  with metrics.MetricsWriter(workdir) as writer:
    writer.write(1, {"loss": 2.5})
  made = Predictions(
    ids=np.array(["a", "b"]),
    labels=np.array([0, 1]),
    scores=np.eye(2, dtype=np.float32),
    names=np.array(["run", "walk"]),
    label="class",
  )
  made.save(f"{workdir}/split1/{PREDICTIONS}")
  results.write_result(workdir, {"task": "finetune", "rows": []})
  assert results.read_result(workdir)["task"] == "finetune"
  loaded = Predictions.load(f"{workdir}/split1/{PREDICTIONS}")
  assert loaded.top(1) == 100.0
  page = report.write(workdir, runs=[workdir])
  assert str(page) == f"{workdir}/report.html"
  text = (local / "report.html").read_text()
  assert "walk" in text
  assert "2.5" in text
