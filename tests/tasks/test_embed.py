"""Files of features: what other programs find in them."""

import json

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.tasks import embed
from tests import small

NAMES = [f"features-0000{i}-of-00003.npz" for i in range(3)]
WIDTH = 16  # of block 5


def config(**changes):
  few = {"data__split": "", "embed__shard": 10}
  return small.tiny("embed", **few | changes)


def use_devices(patch, count):
  mesh = mesh_lib.make_mesh(count)
  patch.setattr(mesh_lib, "make_mesh", lambda: mesh)


@pytest.fixture(scope="module")
def run(ucf101, pretrained_run, tmp_path_factory):
  """Directory, config and result of a run of 24 videos, on one device."""
  workdir = tmp_path_factory.mktemp("embed")
  made = config(data__path=ucf101, checkpoint=pretrained_run)
  with pytest.MonkeyPatch.context() as patch:
    use_devices(patch, 1)
    return workdir, made, embed.run(made, str(workdir))


def read(workdir, names=NAMES):
  """The arrays of some files, one after the other."""
  files = []
  for name in names:
    with np.load(workdir / name, allow_pickle=False) as file:
      files.append(dict(file))
  return {k: np.concatenate([f[k] for f in files]) for k in files[0]}


@pytest.mark.slow
def test_every_video_in_the_order_of_the_dataset(run):
  workdir, made, _ = run
  source = sources.open(made.data.path)
  found = read(workdir)
  assert set(found) == {"ids", "features", "frames"}
  assert found["ids"].tolist() == [source[i].id for i in range(24)]
  assert found["frames"].tolist() == [[0, 12]] * 24
  assert found["features"].dtype == np.float32
  # The two clips of each group show the same.
  pairs = found["features"][np.argsort(found["ids"])].reshape(12, 2, WIDTH)
  np.testing.assert_allclose(pairs[:, 0], pairs[:, 1], rtol=1e-4)
  assert len(np.unique(pairs[:, 0].round(3), axis=0)) == 12


def test_files_of_the_size_asked_for(run):
  workdir, _, result = run
  assert sorted(p.name for p in workdir.glob("*.npz*")) == NAMES
  assert [len(read(workdir, [name])["ids"]) for name in NAMES] == [10, 10, 4]
  assert result["rows"] == [
    {"name": name, "vectors": count, "width": WIDTH}
    for name, count in zip(NAMES, (10, 10, 4), strict=True)
  ]
  assert json.loads((workdir / "result.json").read_text()) == result


@pytest.mark.slow
def test_batches_and_devices_do_not_change_them(run, tmp_path, monkeypatch):
  """Nor does the size of the files."""
  workdir, made, _ = run
  use_devices(monkeypatch, 4)
  changes = {"test__batch_size": 12, "embed__shard": 100}
  fields = {"data__path": made.data.path, "checkpoint": made.checkpoint}
  embed.run(config(**fields | changes), str(tmp_path))
  want, found = read(workdir), read(tmp_path, ["features-00000-of-00001.npz"])
  np.testing.assert_array_equal(found["ids"], want["ids"])
  np.testing.assert_allclose(
    found["features"], want["features"], rtol=1e-3, atol=1e-4
  )


def test_report_and_config(run):
  workdir, made, _ = run
  page = (workdir / "report.html").read_text()
  assert "Embedding with r3d18" in page
  for name in NAMES:
    assert f">{name}</td>" in page
  written = json.loads((workdir / "config.json").read_text())
  assert written["task"] == "embed"
  assert written["checkpoint"] == str(made.checkpoint)


def forget_a_row(workdir):
  result = json.loads((workdir / "result.json").read_text())
  del result["rows"][-1]
  (workdir / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
  ("damage", "made"),
  [
    (lambda workdir: None, []),
    (forget_a_row, NAMES[2:]),
    (lambda workdir: (workdir / NAMES[1]).unlink(), NAMES[1:2]),
    (lambda workdir: (workdir / "result.json").unlink(), NAMES),
  ],
  ids=["nothing", "a row", "a file", "the result"],
)
def test_only_what_is_missing_is_made(run, monkeypatch, damage, made):
  workdir, config, result = run
  use_devices(monkeypatch, 1)
  before = read(workdir)
  damage(workdir)
  titles, encode = [], Evaluation.encode

  def spy(*args, title, **kwargs):
    titles.append(title)
    return encode(*args, title=title, **kwargs)

  monkeypatch.setattr(Evaluation, "encode", spy)
  assert embed.run(config, str(workdir)) == result
  assert titles == made
  assert json.loads((workdir / "result.json").read_text()) == result
  for name, array in read(workdir).items():
    np.testing.assert_array_equal(array, before[name])


def test_with_a_label_videos_are_divided(
  prepared, pretrained_run, tmp_path, monkeypatch
):
  """Where its class changes; and each segment has the name of its own."""
  use_devices(monkeypatch, 1)
  options = {"data__split": "test", "embed__label": "scene", "test__clips": 1}
  fields = {"data__path": prepared, "checkpoint": pretrained_run}
  embed.run(config(**fields | options), str(tmp_path))
  source = sources.open(prepared)
  want = [
    (source[int(number)].id, [segment.first, segment.stop], segment.label)
    for number in source.index.split("test")
    for segment in segments_of(int(number), source[int(number)], "scene")
  ]
  found = read(tmp_path, ["features-00000-of-00001.npz"])
  names = source.index.labels["scene"]
  assert len(want) > 6
  assert [
    (i, frames, names.index(label))
    for i, frames, label in zip(
      found["ids"], found["frames"].tolist(), found["labels"], strict=True
    )
  ] == want


def test_of_videos_without_labels(
  write_video, pretrained_run, tmp_path, monkeypatch
):
  """As they lie in a directory, unprepared."""
  use_devices(monkeypatch, 1)
  for name in ("b.mp4", "a.mp4"):
    write_video(tmp_path / "videos" / name)
  fields = {"data__path": str(tmp_path / "videos"), "test__clips": 1}
  made = config(checkpoint=pretrained_run, **fields)
  embed.run(made, str(tmp_path / "run"))
  found = read(tmp_path / "run", ["features-00000-of-00001.npz"])
  assert found["ids"].tolist() == ["a.mp4", "b.mp4"]
  assert "labels" not in found and found["frames"].tolist() == [[0, 20]] * 2


@pytest.mark.parametrize(
  ("field", "value", "error", "message"),
  [
    ("data__path", "", ConfigError, "config.data.path is not set"),
    ("checkpoint", "", ConfigError, "config.checkpoint is not set"),
    ("checkpoint", "/nowhere", DataError, "not the directory of a run"),
    ("embed__shard", 0, ConfigError, "embed.shard=0 must be at least 1"),
    ("embed__shard", -1, ConfigError, "embed.shard=-1 must be at least 1"),
    ("embed__label", "kind", ConfigError, "embed.label: 'kind' is not one of"),
    ("data__split", "val", ConfigError, "no split 'val' in the dataset"),
    ("test__size", 42, ConfigError, "config.test.size=42 must be"),
    ("test__batch_size", 9, ConfigError, "test.batch_size=9 does not split"),
    ("features__pool", "mean", ConfigError, "one of average, max, cells"),
    ("features__endpoint", "block9", ConfigError, "block1.*block5"),
    ("model__stem", (), ConfigError, "config.model.stem is"),
  ],
)
def test_bad_configs(run, tmp_path, field, value, error, message):
  fields = {"data__path": run[1].data.path, "checkpoint": run[1].checkpoint}
  with pytest.raises(error, match=message):
    embed.run(config(**fields | {field: value}), str(tmp_path))
