"""A checkpoint is verified before it is trusted."""

import errno
import json
import logging
import random
import shutil

import pytest

from hdc_jax.checkpoints import manifest, restoring, saving
from hdc_jax.errors import DataError, StorageError
from tests.checkpoints import states

_FLIPS = {"fast": 2, "slow": 20}  # bits of each file
# It is there or not; on a disk, it is not even looked for.
_HARMLESS = "commit_success.txt"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """The directory of a run with checkpoints of steps 1 and 2."""
  workdir = tmp_path_factory.mktemp("run")
  states.save(workdir, 1, 2)
  return workdir


def flips(path, count=_FLIPS["fast"]):
  """Flips random bits of a file, each in a content of its own."""
  content, generator = path.read_bytes(), random.Random(path.name)
  for _ in range(count):
    changed = bytearray(content)
    changed[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(changed)
    yield


def many_flips(path):
  return flips(path, _FLIPS["slow"])


def truncate(path):
  content = path.read_bytes()
  for size in {len(content) - 1, len(content) // 2}:
    path.write_bytes(content[:size])
    yield


def empty(path):
  path.write_bytes(b"")
  yield


def delete(path):
  path.unlink()
  yield


def newest(workdir):
  with saving.Checkpoints(workdir) as saved:
    step = saved.newest_whole(set_aside=True)
    restored = saved.restore(step, states.state(step))
  return step, restored


@pytest.mark.parametrize(
  "damage",
  [
    flips,
    truncate,
    empty,
    delete,
    pytest.param(many_flips, marks=pytest.mark.slow),
  ],
)
def test_damage_of_any_file_never_loads(run, tmp_path, damage, caplog):
  """It is set aside; or the file has no part in what is restored."""
  workdir = shutil.copytree(run, tmp_path / "run")
  newer, aside = (workdir / "checkpoints" / n for n in ("2", "2.damaged"))
  names = [path.relative_to(newer) for path in states.files(newer)]
  assert len(names) > 10  # how many depends on the version of Orbax
  replaced = set()
  for name in names:
    content = (newer / name).read_bytes()
    for _ in damage(newer / name):
      caplog.clear()
      step, restored = newest(workdir)
      assert states.equals(restored, step)
      if step == 1:
        assert f"{newer} is damaged: " in caplog.text
        assert (
          "is called 2.damaged from now on; the checkpoint of step 1 is"
          in (caplog.text)
        )
        replaced.add(str(name))
        aside.rename(newer)
    (newer / name).write_bytes(content)
  # Earlier versions of Orbax do not write that file on disks.
  assert {str(name) for name in names} - replaced <= {_HARMLESS}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ETIMEDOUT])
def test_storage_that_fails_is_no_damage(run, number):
  for path in states.files(run / "checkpoints" / "2"):
    if path == run / "checkpoints" / "2" / _HARMLESS:
      continue  # it is not read
    with (
      states.failing(path, number),
      saving.Checkpoints(run) as saved,
      pytest.raises(StorageError) as caught,
    ):
      saved.newest_whole(set_aside=True)
    assert str(path) in str(caught.value) and "delete" not in str(caught.value)
    assert "\n" not in str(caught.value)
  with saving.Checkpoints(run) as saved:
    assert saved.steps == [1, 2]


def test_a_named_checkpoint_is_not_replaced(run, tmp_path):
  workdir = shutil.copytree(run, tmp_path / "run")
  path = workdir / "checkpoints" / "2"
  next(flips(path / "config" / "metadata"))
  with restoring.SavedCheckpoints(workdir) as saved:
    for read in (
      lambda: saved.config(2),
      lambda: saved.restore(2, states.state(2)),
      lambda: saved.restore_backbone(2, {"params": {}}),
    ):
      with pytest.raises(
        DataError, match=r"2 is damaged: config/metadata is n"
      ):
        read()
    # Readers have no lock of the directory, and rename nothing.
    assert saved.newest_whole() == 1
  assert path.is_dir()


def test_when_all_are_damaged_none_is_set_aside(run, tmp_path):
  workdir = shutil.copytree(run, tmp_path / "run")
  for step in (1, 2):
    (workdir / "checkpoints" / str(step) / "data" / "metadata").unlink()
  with saving.Checkpoints(workdir) as saved:
    with pytest.raises(
      DataError, match=r"2 is damaged: data/metadata is missi"
    ):
      saved.newest_whole(set_aside=True)
    assert saved.steps == [1, 2]


def test_checkpoints_of_earlier_versions_are_accepted(run, tmp_path, caplog):
  """They have neither a manifest, nor the word that there is to be one."""
  workdir = shutil.copytree(run, tmp_path / "run")
  path = workdir / "checkpoints" / "2"
  (path / manifest.MANIFEST).unlink()
  metadata = json.loads((path / manifest.METADATA).read_text())
  (path / manifest.METADATA).write_text(
    json.dumps(metadata | {"custom_metadata": {}})
  )
  with caplog.at_level(logging.WARNING):
    step, restored = newest(workdir)
  assert step == 2 and states.equals(restored, 2)
  assert caplog.text.count("has no manifest to verify its files by") == 1


def test_a_damaged_one_of_an_earlier_version_is_named(run, tmp_path):
  workdir = shutil.copytree(run, tmp_path / "run")
  path = workdir / "checkpoints" / "2"
  (path / manifest.MANIFEST).unlink()
  (path / manifest.METADATA).unlink()
  for file in states.files(path / "state"):
    file.write_bytes(b"")
  with (
    saving.Checkpoints(workdir) as saved,
    pytest.raises(DataError) as caught,
  ):
    saved.restore(saved.newest_whole(), states.state(2))
  assert f"{path} cannot be restored: " in str(caught.value)
  assert "\n" not in str(caught.value)


def test_the_manifest_is_there_before_the_checkpoint(tmp_path, monkeypatch):
  """A process that is killed in between leaves no checkpoint."""
  seen, write = [], manifest.write

  def observed(directory):
    write(directory)
    names = {str(p.relative_to(directory)) for p in states.files(directory)}
    seen.append((tmp_path / "checkpoints" / "1").exists() or names)

  monkeypatch.setattr(manifest, "write", observed)
  path = states.save(tmp_path, 1) / "1"
  names = {str(p.relative_to(path)) for p in states.files(path)}
  assert seen == [names - {"commit_success.txt"}]
  content = json.loads((path / manifest.MANIFEST).read_text())["files"]
  assert content.keys() == names - {
    _HARMLESS,
    manifest.MANIFEST,
    manifest.METADATA,
  }
