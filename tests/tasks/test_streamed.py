"""A network is pretrained on a dataset that stays in its bucket."""

import json

import pytest

from hdc_jax import main
from hdc_jax.errors import StorageError
from hdc_jax.runtime import ranges
from hdc_jax.tasks import pretrain
from tests import small
from tests.bucket import Bucket

DATA = "gs://b/data"


def losses(workdir, path, cache, **changes):
  """The losses of a run of four steps."""
  options = {"train__steps": 4, "train__log_every": 1, "data__lanes": 2}
  made = small.tiny(
    data__path=str(path), data__cache=str(cache), **options | changes
  )
  pretrain.run(made, str(workdir))
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  found = [json.loads(line) for line in lines]
  return [line["loss"] for line in found if "loss" in line]


@pytest.mark.slow
def test_a_run_is_that_on_a_local_dataset(prepared, remote, tmp_path, quick):
  """Also with the online probe, whose videos are of all lanes."""
  probe = {"probe__every": 2, "probe__videos": 8}
  want = losses(tmp_path / "a", prepared, tmp_path / "c", **probe)
  got = losses(
    tmp_path / "b", DATA, tmp_path / "c", data__access="stream", **probe
  )
  assert got == want
  assert not (tmp_path / "c").exists()


def test_a_bucket_that_fails_is_one_line_with_code_8(
  remote, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(ranges, "_TRIES", 2)
  monkeypatch.setenv(Bucket.FAILS, ".array_record")
  flags = [
    "--config=configs/tiny.py",
    *small.FLAGS,
    f"--config.data.path={DATA}",
    "--config.data.access=stream",
    "--config.data.batch_size=8",
    f"--workdir={tmp_path / 'run'}",
  ]
  assert main.main(flags) == StorageError.exit_code
  line = capsys.readouterr().err.splitlines()[-1]
  assert "array_record: the storage failed: 503" in line
