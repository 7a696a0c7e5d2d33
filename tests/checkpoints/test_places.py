"""Where checkpoints may be."""

import pytest

from hdc_jax.checkpoints import finding, saving
from hdc_jax.errors import ConfigError, DataError


class Manager:
  """Stands in for Orbax's, which reaches buckets in a way of its own."""

  def __init__(self, path, **_):
    self.path = path


def test_checkpoints_of_a_run_in_a_bucket_are_there(buckets, monkeypatch):
  monkeypatch.setattr(saving.ocp, "CheckpointManager", Manager)
  made = saving.Checkpoints("gs://b/run")
  assert str(made._manager.path) == "gs://b/run/checkpoints"


def test_relative_directories_are_of_here(tmp_path, monkeypatch):
  monkeypatch.setattr(saving.ocp, "CheckpointManager", Manager)
  monkeypatch.chdir(tmp_path)
  made = saving.Checkpoints("run")
  assert str(made._manager.path) == str(tmp_path / "run" / "checkpoints")


def test_what_orbax_cannot_do_is_said_at_once(buckets):
  with pytest.raises(ConfigError, match=r"^s3://b/run: Orbax writes checkpoi"):
    saving.Checkpoints("s3://b/run")


def test_a_checkpoint_in_a_bucket_is_looked_for_there(buckets):
  with pytest.raises(DataError, match=r"gs://b/run is not the directory of a"):
    finding.find("gs://b/run")
