"""Files of datasets and runs that version 0.1.0 wrote are read today.

written_0_1_0/ holds them as they were written, but for the paths in them: a
generated dataset's index, one record, and the small files of runs of four steps
with configs/tiny.py. Nothing there is to be made anew by later code.
"""

import json
import pathlib

import numpy as np
import pytest

from hdc_jax.config import flags
from hdc_jax.data.store.index import Index
from hdc_jax.data.store.prepared import Sample
from hdc_jax.data.store.records import Record
from hdc_jax.data.store.shard_files import OneVideo
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import pretrained
from hdc_jax.options import identity
from hdc_jax.runs import metrics
from hdc_jax.runs import read as runs
from hdc_jax.runs.predictions import Predictions
from hdc_jax.tasks import pretrain

WRITTEN = pathlib.Path(__file__).parent / "written_0_1_0"
TASKS = {
  "hdc": "pretraining",
  "cvrl": "pretraining",
  "dsm": "pretraining",
  "finetune": "fine-tuning",
  "linear": "linear probe",
  "retrieve": "retrieval",
  "embed": "embedding",
}
# What was set on the command line of each pretraining.
FIELDS = {
  "hdc": (),
  "cvrl": ("model.norm=batch", "optim.warmup=3"),
  "dsm": ("method.negative=flow",),
}
# What such a run has to be resumed with today, because the default of 0.1.0 was
# another: the sides of crops were independent.
RESUMED = {
  "hdc": ("augment.max_distort=99",),
  "cvrl": (),
  "dsm": ("augment.max_distort=99",),
}
COMMON = (
  "model.width=4",
  "model.size=32",
  "data.batch_size=8",
  "train.steps=4",
)


def saved_config(name):
  text = (WRITTEN / name / "config.json").read_text()
  return identity.with_tuples(json.loads(text))


def config_now(method, *changes):
  """The config of the same command today."""
  fields = ("data.path=x", *COMMON, *FIELDS[method], *RESUMED[method])
  fields = (*fields, *changes)
  arguments = [f"--config.{field}" for field in fields]
  config = flags.read_config(f"configs/tiny.py:method={method}", arguments)
  _, run_config = pretrain.TASK.resolve(config)
  return run_config


@pytest.mark.parametrize("method", FIELDS)
def test_a_run_goes_on_with_its_config(method):
  now, saved = config_now(method), saved_config(method)
  now.check_resumes(saved, "the run")
  assert (saved["task"], saved["method"]["name"]) == ("pretrain", method)
  assert saved["model"]["stem"] == (3, 7, 7)
  assert saved["model"]["norm"] == now.values["model"]["norm"]


@pytest.mark.parametrize("method", FIELDS)
@pytest.mark.parametrize("field", ["optim.lr", "data.canvas"])
def test_another_config_is_not_that_of_the_run(method, field):
  now = config_now(method, f"{field}=88")
  with pytest.raises(ConfigError, match=rf"^config\.{field} is 88"):
    now.check_resumes(saved_config(method), "the run")


def test_the_backbones_of_runs_are_read():
  for name in TASKS:
    backbone = pretrained.read_backbone(saved_config(name))
    assert (backbone.name, backbone.width) == ("r3d18", 4)
    assert backbone.stem == (3, 7, 7)


def test_runs_are_read():
  found = runs.read([WRITTEN / name for name in TASKS])
  assert [run.name for run in found] == list(TASKS)
  assert [run.task for run in found] == list(TASKS.values())
  for run in found:
    assert run.config["model.width"] == 4
    assert run.config["model.stem"] == [3, 7, 7]
    assert run.result["versions"]["hdc-jax"] == "0.1.0"
    steps = 4 if run.task == "pretraining" else 0
    assert [line["step"] for line in run.metrics] == [*range(1, steps + 1)]
    assert all(line["loss"] > 0 for line in run.metrics)


def test_terms_of_the_loss_are_read():
  first, *_ = metrics.read_metrics(WRITTEN / "hdc")
  terms = {
    f"{c}{block}" for c in ("spatial", "temporal") for block in (3, 4, 5)
  }
  assert {f"loss/{term}" for term in terms} <= first.keys()
  assert {f"accuracy/{term}" for term in terms} <= first.keys()


def test_trials_are_read():
  finetune, linear = runs.read([WRITTEN / "finetune", WRITTEN / "linear"])
  (lines,) = finetune.trials.values()
  assert [line["step"] for line in lines] == [1, 2, 3, 4]
  for run in (finetune, linear):
    (predictions,) = run.predictions["motion"]
    assert predictions.scores.shape == (8, 8)
    assert predictions.top(8) == 100.0
    assert predictions.top(1) == run.result["top1"]


def test_rows_are_read():
  retrieve, embed = runs.read([WRITTEN / "retrieve", WRITTEN / "embed"])
  networks = {row["network"] for row in retrieve.result["rows"]}
  assert networks == {"trained", "untrained", "chance"}
  assert embed.result["rows"] == [
    {"name": "features-00000-of-00001.npz", "vectors": 40, "width": 32}
  ]


def test_predictions_are_read():
  (path,) = WRITTEN.glob("linear/*/predictions.npz")
  loaded = Predictions.load(path)
  assert loaded.label == "motion"
  assert loaded.ids[0] == "seed0/000032.mp4"
  assert list(loaded.names)[:2] == ["horizontal", "vertical"]
  assert loaded.scores.dtype == np.float32


def test_an_index_is_read():
  index = Index.load(WRITTEN / "data")
  assert (index.num_videos, index.short_side, index.codec) == (40, 64, "h264")
  assert index.split("train").tolist() == [*range(32)]
  assert index.split("test").tolist() == [*range(32, 40)]
  assert list(index.labels) == ["motion", "scene"]
  assert [shard.videos for shard in index.shards] == [20, 20]
  assert index.fingerprint.startswith("98cdc8fd")


def test_a_record_is_read():
  data = (WRITTEN / "record.msgpack").read_bytes()
  record = Record.from_bytes(data)
  assert (record.id, record.num_frames) == ("wave.mp4", 6)
  source = Sample(
    Index.load(WRITTEN / "data"), OneVideo(data), "record.msgpack"
  )
  source.index = Index(**{**vars(source.index), "short_side": record.height})
  video = source[0]
  frames = video.read(range(6), Window(0, 0, video.height, video.width))
  assert frames.y.shape == (6, 48, 64)
  # A wave about mid-grey.
  assert 100 < frames.y.mean() < 140
