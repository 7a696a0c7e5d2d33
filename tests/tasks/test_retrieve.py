"""A whole run of the task."""

import json

import jax
import jax.numpy as jnp
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.tasks import retrieve
from tests import small


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
  """The config of a retrieval, by the weights of a run of no steps."""
  workdir = tmp_path_factory.mktemp("run")
  training = small.training(mesh.make_mesh())
  with saving.Checkpoints(workdir) as saved:
    state = training.init_state()
    # Weights that differ from the untrained ones.
    state = state.replace(
      params=jax.tree.map(lambda p: p + 0.05 * jnp.cos(7 * p), state.params)
    )
    saved.save(0, state, {"step": 0}, small.config().to_dict())
    saved.wait()
  return small.config("retrieve", data__path=prepared, checkpoint=str(workdir))


@pytest.mark.slow
def test_the_task(run, tmp_path, capsys):
  result = retrieve.run(run, str(tmp_path))
  names = [row["name"] for row in result["rows"]]
  assert names == [
    f"{label}/{network}"
    for label in ("motion", "scene")
    for network in ("trained", "untrained", "chance")
  ]
  for row in result["rows"]:
    assert 0.0 <= row["top1"] <= row["top5"] <= 100.0
    assert ("knn" in row) == (row["network"] != "chance")
  assert json.loads((tmp_path / "result.json").read_text()) == result
  printed = capsys.readouterr().out
  assert f"{result['rows'][0]['top1']:.1f}" in printed
  page = (tmp_path / "report.html").read_text()
  assert page.count("data:image/png;base64,") == 2

  # Again: nothing is computed.
  before = (tmp_path / "result.json").stat().st_mtime_ns
  assert retrieve.run(run, str(tmp_path)) == result
  assert (tmp_path / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
  ("field", "value", "error", "message"),
  [
    ("checkpoint", "", ConfigError, "config.checkpoint is not set"),
    ("checkpoint", "/nowhere", DataError, "not the directory of a run"),
    ("data__labels", ("speed",), ConfigError, "one of motion, scene"),
    ("test__split", "val", ConfigError, "it has test, train"),
    ("test__batch_size", 9, ConfigError, "config.test.batch_size=9"),
    ("model__width", 8, ConfigError, "config.model.width is 8"),
    ("features__endpoint", "block9", ConfigError, "block1.*block5"),
    ("features__pool", "mean", ConfigError, "one of average, max, cells"),
    ("retrieve__topk", (), ConfigError, "config.retrieve.topk is not set"),
    ("retrieve__topk", (1, 0), ConfigError, "must be at least 1"),
    ("retrieve__temperature", 0.0, ConfigError, "must be above 0"),
  ],
)
def test_bad_configs(run, tmp_path, field, value, error, message):
  fields = {"data__path": run.data.path, "checkpoint": run.checkpoint}
  config = small.config("retrieve", **fields | {field: value})
  with pytest.raises(error, match=message):
    retrieve.run(config, str(tmp_path))
