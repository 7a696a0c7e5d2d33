"""Evaluations of datasets with videos that cannot be decoded."""

import json

import numpy as np
import pytest

from hdc_jax import tasks
from hdc_jax.data import sources
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import DataError
from hdc_jax.runs import metrics
from hdc_jax.tasks import pretrain
from tests import small

OPEN = sources.open
FEATURES = "features-00000-of-00001.npz"


class Damaged:
  """A dataset of which some videos cannot be opened, and others not decoded."""

  def __init__(self, source, closed=(), cut=()):
    self.index, self._source = source.index, source
    self._closed, self._cut = {*closed}, {*cut}

  def __len__(self):
    return len(self._source)

  def __getitem__(self, i):
    if i in self._closed:
      raise DataError(f"video {i}: cannot be opened")
    video = self._source[i]
    return Cut(video) if i in self._cut else video


class Cut:
  """A video without packets."""

  def __init__(self, video):
    self._video = video

  def __getattr__(self, name):
    return getattr(self._video, name)

  def read(self, indices, window):
    raise DataError(f"{self.id}: cut short")


@pytest.fixture
def damage(monkeypatch):
  """A function that damages all datasets that are opened."""

  def use(closed=(), cut=()):
    def open_damaged(*arguments):
      return Damaged(OPEN(*arguments), closed, cut)

    monkeypatch.setattr(sources, "open", open_damaged)

  return use


@pytest.fixture
def changes(prepared, quick, tmp_path):
  """The fields of all tasks: a dataset, and weights of a quick network."""
  options = small.resolve(small.tiny())
  training = options.make_training(mesh_lib.make_mesh())
  small.save_run(tmp_path / "pretrained", training, small.tiny())
  checkpoint = str(tmp_path / "pretrained")
  return {"data__path": prepared, "checkpoint": checkpoint, "test__clips": 1}


LABEL = {"data__labels": ("motion",)}
TASKS = {
  "retrieve": {"retrieve__neighbours": 3},
  "bias": {"retrieve__neighbours": 3, "retrieve__untrained": False},
  "linear": {
    "linear__rates": (1.0,),
    "linear__epochs": 2,
    "linear__warmup_epochs": 1,
    "linear__views": 1,
  },
  "finetune": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_task_goes_on_and_says_what_it_leaves_out(
  task, changes, damage, tmp_path, capsys, caplog
):
  index = OPEN(changes["data__path"]).index
  cut, closed = int(index.split("train")[2]), int(index.split("test")[1])
  damage({closed}, {cut})
  config = small.tiny(task, **changes, **LABEL, **TASKS[task])
  workdir = tmp_path / "run"
  for _ in range(2):  # The second only shows the result.
    result = tasks.TASKS[task].run(config, str(workdir))
    # Fine-tuning replaces a bad training video.
    trained = {} if task == "finetune" else {cut: ": cut short"}
    found = {entry["video"]: entry["reason"] for entry in result["left_out"]}
    assert found.keys() == {closed, *trained}
    assert found[closed] == f"video {closed}: cannot be opened"
    assert all(found[n].endswith(text) for n, text in trained.items())
    videos = "1 video" if len(found) == 1 else "2 videos"
    line = f"left out, as they cannot be decoded: {videos}\n"
    assert line in capsys.readouterr().out
    assert line.strip() in (workdir / "report.html").read_text()
  named = [m for m in caplog.messages if m.startswith("a video is left out: ")]
  assert len(named) == len(found)
  assert json.loads((workdir / "result.json").read_text()) == result


def test_the_others_are_what_they_were(changes, damage, tmp_path):
  """Features of task `embed`, in files, of which one is made later."""
  config = small.tiny("embed", **changes, data__split="", embed__shard=100)
  tasks.TASKS["embed"].run(config, str(tmp_path / "sound"))
  damage({3}, {17})
  config.embed.shard = 15
  result = tasks.TASKS["embed"].run(config, str(tmp_path / "run"))
  assert [row["vectors"] for row in result["rows"]] == [14, 14]
  (tmp_path / "run" / "features-00001-of-00002.npz").unlink()
  assert tasks.TASKS["embed"].run(config, str(tmp_path / "run")) == result
  files = [tmp_path / "sound" / FEATURES]
  files += [tmp_path / "run" / f"features-0000{i}-of-00002.npz" for i in (0, 1)]
  sound, *parts = (dict(np.load(file)) for file in files)
  kept = np.delete(np.arange(30), [3, 17])
  for name in ("ids", "features"):
    found = np.concatenate([part[name] for part in parts])
    np.testing.assert_array_equal(found, sound[name][kept])


def test_too_many_end_it(changes, damage, tmp_path):
  damage(closed=range(0, 30, 2))
  config = small.tiny("embed", **changes, data__split="")
  with pytest.raises(
    DataError, match=r"\d+ of \d+ videos .* config\.test\.max_bad=0\.01: see"
  ):
    tasks.TASKS["embed"].run(config, str(tmp_path / "run"))
  config.test.max_bad = 1.0
  result = tasks.TASKS["embed"].run(config, str(tmp_path / "run"))
  assert len(result["left_out"]) == 15
  damage(closed=range(30))
  with pytest.raises(DataError, match="none of the 30 videos could be decoded"):
    tasks.TASKS["embed"].run(config, str(tmp_path / "none"))


def test_one_is_too_many_if_none_may(changes, damage, tmp_path):
  damage(cut={4})
  config = small.tiny("embed", **changes, data__split="", test__max_bad=0.0)
  with pytest.raises(DataError, match=r"1 of 5 .* config\.test\.max_bad=0: "):
    tasks.TASKS["embed"].run(config, str(tmp_path / "run"))


def test_a_real_file_that_is_no_video(write_video, changes, tmp_path):
  for name in ("a.mp4", "c.mp4"):
    write_video(tmp_path / "videos" / name)
  (tmp_path / "videos" / "b.mp4").write_bytes(b"no video at all")
  changes["data__path"] = str(tmp_path / "videos")
  result = tasks.TASKS["embed"].run(
    small.tiny("embed", **changes, data__split=""), str(tmp_path / "run")
  )
  with np.load(tmp_path / "run" / FEATURES) as file:
    assert file["ids"].tolist() == ["a.mp4", "c.mp4"]
  (entry,) = result["left_out"]
  assert entry["video"] == 1 and "b.mp4" in entry["reason"]


@pytest.mark.slow
def test_the_online_probe_goes_on(prepared, quick, damage, tmp_path):
  """By labels with the same segments, and with others."""
  index = OPEN(prepared).index
  split = {name: index.split(name).tolist() for name in ("train", "test")}
  damage({split["test"][2], split["train"][0]}, {split["test"][4]})
  config = small.tiny(data__path=prepared, probe__every=2, probe__videos=30)
  pretrain.run(config, str(tmp_path))
  lines = [m for m in metrics.read_metrics(tmp_path) if "loss" not in m]
  assert [line["step"] for line in lines] == [0, 2]
  assert {"probe/motion/block5/knn", "probe/scene/block5/ridge"} <= {*lines[0]}
