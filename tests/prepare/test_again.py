"""Preparing again: no more is made than has to be."""

import json

import pytest

from hdc_jax.data.store import index
from hdc_jax.data.store.index import Index
from hdc_jax.data.video import encoder, originals
from hdc_jax.prepare import shards
from hdc_jax.prepare.runners import local
from tests.prepare.preparing import contents, copy, run


@pytest.fixture
def no_work(monkeypatch):
  def fail(*args):
    pytest.fail("there was nothing to do")

  monkeypatch.setattr(local, "make_shards", fail)


def test_a_prepared_dataset_is_left_alone(folder, prepared, no_work, capsys):
  before = {path: path.stat().st_mtime_ns for path in prepared.iterdir()}
  assert run(folder, prepared) == 0
  assert "already prepared" in capsys.readouterr().out
  assert before == {
    path: path.stat().st_mtime_ns for path in prepared.iterdir()
  }


def test_what_the_first_time_left_is_removed(
  folder, prepared, tmp_path, no_work
):
  """The disk may fail as soon as the index is there."""
  copy(prepared, tmp_path)
  index.mark_unfinished(tmp_path)
  assert run(folder, tmp_path) == 0
  assert contents(tmp_path) == contents(prepared)
  assert not (tmp_path / index.UNFINISHED).exists()


def made_again(monkeypatch):
  """A list of the shards that are written from here on."""
  names = []
  write = shards.write

  def spy(directory, plan, results):
    names.append(plan.name[6:11])
    return write(directory, plan, results)

  monkeypatch.setattr(shards, "write", spy)
  return names


def without_frames(path):
  """Lets the sidecar of a shard say that its videos have no frames."""
  sidecar = path.with_suffix(".json")
  fields = json.loads(sidecar.read_text())
  sidecar.write_text(json.dumps(fields | {"num_frames": 0}))


@pytest.mark.parametrize(
  "damage",
  [
    lambda path: path.unlink(),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.with_suffix(".json").write_text("{"),
    without_frames,
  ],
  ids=["missing", "cut", "sidecar", "frames"],
)
def test_only_damaged_shards_are_made_again(
  folder, prepared, tmp_path, monkeypatch, damage
):
  copy(prepared, tmp_path)
  damage(tmp_path / "shard-00002-of-00004.array_record")
  (tmp_path / "index.json").unlink()
  names = made_again(monkeypatch)
  assert run(folder, tmp_path) == 0
  assert names == ["00002"]
  assert contents(tmp_path) == contents(prepared)


def test_a_shard_lost_later_is_made_again(
  folder, prepared, tmp_path, monkeypatch
):
  copy(prepared, tmp_path)
  (tmp_path / "shard-00001-of-00004.array_record").unlink()
  names = made_again(monkeypatch)
  assert run(folder, tmp_path) == 0
  assert names == ["00001"]
  assert contents(tmp_path) == contents(prepared)


def change_file(source):
  path = source / "walk" / "0.mp4"
  path.write_bytes((source / "walk" / "1.mp4").read_bytes())
  return []


@pytest.mark.slow
@pytest.mark.parametrize(
  ("change", "again"),
  [
    (lambda source: ["--short_side=48"], 4),
    (lambda source: (source / "run" / "4.mp4").unlink() or [], 1),
    (lambda source: (source / "run").rename(source / "sprint") and [], 4),
    (change_file, 1),
  ],
  ids=["size", "removed", "renamed", "changed"],
)
def test_shards_of_another_request_are_not_reused(
  folder, prepared, tmp_path, monkeypatch, change, again
):
  """The result is that of starting from nothing."""
  source, output = tmp_path / "source", tmp_path / "output"
  for path in folder.rglob("*.mp4"):
    target = source / path.relative_to(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
  output.mkdir()
  copy(prepared, output)
  more = change(source)
  names = made_again(monkeypatch)
  assert run(source, output, *more) == 0
  assert len(names) == again
  monkeypatch.undo()
  (tmp_path / "fresh").mkdir()
  assert run(source, tmp_path / "fresh", *more) == 0
  assert contents(output) == contents(tmp_path / "fresh")


def test_shards_of_an_earlier_request_are_removed(folder, prepared, tmp_path):
  copy(prepared, tmp_path)
  (tmp_path / ".shard-00007-of-00009.array_record.tmp").write_bytes(b"killed")
  (tmp_path / "notes.txt").write_text("mine")
  for reason in ("replaced", "unlisted", "hidden"):
    (tmp_path / f"{reason}.txt").write_text("a.mp4")
  assert run(folder, tmp_path, "--shards=1") == 0
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    "index.json",
    "notes.txt",
    "shard-00000-of-00001.array_record",
    "shard-00000-of-00001.json",
  ]


@pytest.mark.parametrize(
  ("module", "version"), [(encoder, "ENCODER_VERSION"), (originals, "VERSION")]
)
def test_another_encoder_or_decoder_makes_everything_again(
  folder, prepared, tmp_path, monkeypatch, module, version
):
  copy(prepared, tmp_path)
  monkeypatch.setattr(module, version, 99)
  names = made_again(monkeypatch)
  assert run(folder, tmp_path) == 0
  assert len(names) == 4


def test_the_index_comes_last(folder, prepared, tmp_path, monkeypatch):
  """While shards are replaced there is no index that would describe others."""
  copy(prepared, tmp_path)
  seen = []
  write = shards.write

  def spy(*args):
    seen.append((tmp_path / "index.json").exists())
    return write(*args)

  monkeypatch.setattr(shards, "write", spy)
  assert run(folder, tmp_path, "--codec=raw") == 0
  assert seen == [False] * 4
  assert Index.load(tmp_path).codec == "raw"
