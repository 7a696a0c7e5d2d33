"""Networks that see one thing alone, by hand, and whole runs of the task."""

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.data.clips.conditions import CONDITIONS
from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.labels.targets import Target
from hdc_jax.data.options import Loading
from hdc_jax.data.video.frames import Frames
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import features
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.tasks import bias, dry_run, preflight, retrieve
from tests import small
from tests.data.clips import generated

SIZE, FRAMES, CLASSES = 32, 8, 4


@dataclasses.dataclass
class Video(generated.Video):
  """A square before a still picture: one of four paths, one of four scenes."""

  num_frames: int = FRAMES
  height: int = SIZE
  width: int = SIZE

  def read(self, indices, window):
    (_, motion), (_, scene) = self.labels["motion"][0], self.labels["scene"][0]
    rng = np.random.default_rng(scene)
    picture = rng.integers(60, 150, (4, 4)).repeat(8, 0).repeat(8, 1)
    # Each video is a little brighter or darker than others of its scene.
    shift = np.random.default_rng(int(self.id)).integers(-4, 5)
    y = np.broadcast_to(picture + shift, (self.num_frames, SIZE, SIZE)).copy()
    for t in range(self.num_frames):
      across, along = slice(1 + 3 * t, 9 + 3 * t), (2, 22)[motion % 2]
      place = slice(along, along + 8), across
      y[t][place if motion < 2 else place[::-1]] = 235
    uv = np.full((self.num_frames, SIZE // 2, SIZE // 2, 2), 128, np.uint8)
    return Frames(y.astype(np.uint8)[indices], uv[indices])


def videos(first):
  """One of each pair of a motion and a scene."""
  return [
    Video(
      str(first + i),
      labels={"motion": ((0, i % CLASSES),), "scene": ((0, i // CLASSES),)},
    )
    for i in range(CLASSES**2)
  ]


def pooled(x):
  """Means of 4×4 pixels of gray pictures [B, H, W], as vectors."""
  b, h, w = x.shape
  return x.reshape(b, h // 4, 4, w // 4, 4).mean((2, 4)).reshape(b, -1)


def of_mean_frames(clips):
  frame = pooled(clips.mean((1, 4)))
  return frame - frame.mean(1, keepdims=True)


def of_differences(clips):
  differs = jnp.abs(jnp.diff(clips.mean(4), axis=1)) > 0.04
  return pooled(differs.astype(jnp.float32).mean(1))


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
  """The rows by condition of a network that is a function, and the directory.

  They are measured once for each function and label.
  """
  workdir, known = tmp_path_factory.mktemp("bias"), {}
  source = generated.Source([*videos(0), *videos(100)], short_side=SIZE)
  splits = {"train": np.arange(16), "test": np.arange(16, 32)}
  source.index = types.SimpleNamespace(split=splits.get)
  placement = FixedPlacement(FRAMES, 1, SIZE, 1, "centre")
  mesh = mesh_lib.make_mesh(1)
  evaluation = Evaluation(mesh, source, placement, Loading(2), 16, SIZE)

  def run(network, label):
    if (network, label) in known:
      return known[network, label]

    def make(*_):
      return lambda weights, clips: {"block5": network(clips)}

    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(features, "make_describe_blocks", make)
      tester = bias._Tester(
        small.options("bias"), evaluation, {"trained": 0.0}, str(workdir)
      )
    target = Target(label, [f"{label}{i}" for i in range(CLASSES)])
    rows = tester.measure(target, "", ("train", "test"))
    assert len({row["name"] for row in rows}) == len(rows)
    known[network, label] = {row.get("condition"): row for row in rows}
    return known[network, label]

  return run


def test_the_mean_frame_is_the_scene(measure):
  """Order does not matter to it; with its background, a video loses all."""
  rows = measure(of_mean_frames, "scene")
  plain, chance = rows["unchanged"], rows[None]["top1"]
  assert plain["top1"] == plain["knn"] == 100.0 and chance == 25.0
  for condition in ("reversed", "shuffled"):
    assert rows[condition]["top1"] == plain["top1"]
    assert rows[condition]["knn"] == plain["knn"]
    assert rows[condition]["similarity"] == pytest.approx(100.0)
  assert rows["frozen"]["top1"] == 100.0
  # The background is that of another scene, and stripes are that of none.
  assert rows["background"]["top1"] == rows["background"]["knn"] == 0.0
  assert rows["stripes"]["top1"] <= 62.5
  reference = rows["another video"]["similarity"]
  assert rows["background"]["similarity"] < reference + 20.0
  # Not 0, as the mean frame also shows traces of the square.
  assert plain["motion_share"] < 30.0


def test_differences_are_the_motion(measure):
  """The background does not matter to it; a frozen frame is nothing."""
  rows = measure(of_differences, "motion")
  plain, chance = rows["unchanged"], rows[None]["top1"]
  assert plain["top1"] == plain["knn"] == 100.0
  for condition in ("background", "stripes", "reversed"):
    assert rows[condition]["top1"] == rows[condition]["knn"] == 100.0
    assert rows[condition]["similarity"] > 95.0
  assert rows["frozen"]["similarity"] == 0.0
  assert rows["frozen"]["top1"] == chance == 25.0
  assert rows["frozen"]["knn"] <= chance
  assert plain["motion_share"] == 100.0


def test_differences_are_not_the_scene(measure):
  """The share is of the network: it does not depend on the label."""
  rows = measure(of_differences, "scene")
  assert rows["unchanged"]["motion_share"] == 100.0
  assert rows["unchanged"]["top1"] <= 50.0


def test_rows_say_how_much_is_foreground(measure):
  """A square of 8 pixels; its border may be a pixel off."""
  rows = measure(of_mean_frames, "scene")
  for condition in ("background", "stripes"):
    assert 4.0 < rows[condition]["foreground"] < 9.0
  assert "foreground" not in rows["frozen"]


def test_intervals_are_those_of_the_mean_over_videos(measure):
  rows = measure(of_mean_frames, "scene")
  assert rows["background"]["similarity_ci95"] > 1.0
  assert rows["reversed"]["similarity_ci95"] < 0.1


def changes(dataset, checkpoint):
  return {
    "data__path": dataset,
    "checkpoint": checkpoint,
    "features__endpoints": ("block3", "block5"),
  }


@pytest.fixture
def checkpoint(quick, tmp_path):
  training = small.resolve(small.tiny()).make_training(
    jax.make_mesh((1,), ("data",))
  )
  small.save_run(tmp_path / "pretrained", training, small.tiny())
  return str(tmp_path / "pretrained")


@pytest.mark.slow
def test_the_task(prepared, checkpoint, tmp_path, capsys):
  """Its rows are the same again, and those unchanged are `retrieve`'s."""
  config = small.tiny("bias", **changes(prepared, checkpoint))
  result = bias.run(config, str(tmp_path / "run"))
  rows = {row["name"]: row for row in result["rows"]}
  conditions = ("unchanged", *CONDITIONS, "another video")
  assert list(rows) == [
    name
    for label in ("motion", "scene")
    for name in (
      *(
        f"{label}/{network}/{block}/{condition}"
        for network in ("trained", "untrained")
        for block in ("block3", "block5")
        for condition in conditions
      ),
      f"{label}/chance",
    )
  ]
  for row in rows.values():
    assert 0.0 <= row.get("top1", 0.0) <= row.get("top5", 0.0) <= 100.0
    assert -100.0 <= row.get("similarity", 0.0) <= 100.001
    assert 0.0 <= row.get("motion_share", 0.0) <= 100.0
  printed = capsys.readouterr().out
  assert "motion share" in printed and "every second" in printed
  run = tmp_path / "run"
  assert json.loads((run / "result.json").read_text()) == result
  assert (run / "conditions-motion.png").exists()
  page = (run / "report.html").read_text()
  assert "Scene-bias test" in page and "Conditions · scene" in page

  scene = changes(prepared, checkpoint) | {"data__labels": ("scene",)}
  again = bias.run(small.tiny("bias", **scene), str(tmp_path / "again"))
  assert again["rows"] == [r for r in result["rows"] if r["label"] == "scene"]
  del scene["features__endpoints"]
  config = small.tiny("retrieve", **scene)
  for row in retrieve.run(config, str(tmp_path / "retrieve"))["rows"]:
    network = row["network"]
    place = "" if network == "chance" else "/block5/unchanged"
    same = rows[f"scene/{network}{place}"]
    for measure in ("top1", "top5", "knn"):
      assert row.get(measure) == same.get(measure)


@pytest.mark.slow
def test_tags(tagged, checkpoint, tmp_path):
  """By a tag, without the query's group, and where the splits are the same."""
  config = small.tiny(
    "bias",
    **changes(tagged, checkpoint),
    data__labels=("actions",),
    data__split="test",
    test__exclude="group",
    retrieve__untrained=False,
  )
  rows = bias.run(config, str(tmp_path / "run"))["rows"]
  assert len(rows) == 2 * (2 + len(CONDITIONS)) + 1
  assert all("knn_map" in row for row in rows[: 1 + len(CONDITIONS)])


@pytest.mark.parametrize(
  ("field", "value", "error", "message"),
  [
    ("checkpoint", "/nowhere", DataError, "not the directory of a run"),
    ("data__frames", 2, ConfigError, "config.data.frames=2 must be at least 3"),
    ("bias__threshold", 0.0, ConfigError, "must be above 0"),
    ("features__endpoints", (), ConfigError, "endpoints is not set"),
    ("features__endpoints", ("block9",), ConfigError, "block1.*block5"),
    ("test__split", "val", ConfigError, "it has test, train"),
    ("test__exclude", "group", ConfigError, "have no groups"),
  ],
)
def test_bad_configs(prepared, tmp_path, quick, field, value, error, message):
  given = {"data__path": prepared, "checkpoint": "x", field: value}
  config = small.tiny("bias", **given)
  for run in (bias.run, preflight.check):
    with pytest.raises(error, match=message):
      run(config, str(tmp_path / "run"))


@pytest.fixture
def one_video(monkeypatch):
  """As if every test split had a single video."""
  split = bias.Index.split

  def first(index, name):
    return split(index, name)[: 1 if name == "test" else None]

  monkeypatch.setattr(bias.Index, "split", first)


def test_a_single_video_has_no_other_background(
  prepared, one_video, quick, tmp_path
):
  config = small.tiny("bias", data__path=prepared, checkpoint="x")
  for run in (bias.run, preflight.check, dry_run.describe):
    with pytest.raises(ConfigError, match=r"test\.split=test: .* single video"):
      run(config, str(tmp_path / "run"))


def test_a_preflight_says_what_is_encoded(prepared, checkpoint, tmp_path):
  config = small.tiny("bias", **changes(prepared, checkpoint))
  found = preflight.check(config, str(tmp_path / "run"))
  assert "6 test videos are encoded 7 times for each of 2 labels" in found


@pytest.mark.parametrize(("share", "count"), [(0.2, 1), (9.0, 0), (80.0, 1)])
def test_an_unusual_foreground_is_warned_of(share, count):
  rows = [{"label": "scene", "foreground": share}, {"label": "scene"}]
  warnings = bias._warnings(rows).get("warnings", [])
  assert len(warnings) == count
  assert all(f"scene: {share} % of the picture" in w for w in warnings)
