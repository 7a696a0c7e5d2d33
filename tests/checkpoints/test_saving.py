"""A save that fails costs no more than that save."""

import logging
import time

import jax
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.errors import StorageError
from tests import hosts
from tests.checkpoints import states

# What TensorStore has under way when another file fails.
pytestmark = pytest.mark.filterwarnings(
  "ignore::pytest.PytestUnraisableExceptionWarning"
)

_SIZE = 50_000  # numbers of a state that is longer than the disk is wide
_LIMIT = 20_000  # bytes of a file on that disk


def save(saved, step):
  saved.save(step, states.state(step, _SIZE), {"step": step}, states.CONFIG)


def checked(saved):
  """Waits until `check` knows how the save in progress ended."""
  for _ in range(1000):
    saved.check()
    if saved._saving is None:
      return
    time.sleep(0.01)
  raise AssertionError("no save may take that long")


def test_it_is_said_at_once_and_the_run_goes_on(tmp_path, caplog):
  with saving.Checkpoints(tmp_path) as saved:
    save(saved, 1)
    checked(saved)
    with states.no_file_longer_than(_LIMIT):
      save(saved, 2)
      checked(saved)
    (said,) = [r.message for r in caplog.records if "hdc_jax" in r.name]
    assert said.startswith("the checkpoint of step 2 could not be saved: /")
    assert "File too large; the run goes on" in said
    assert saved.steps == [1]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    save(saved, 3)
    checked(saved)
    assert saved.newest_whole() == 3
    restored = saved.restore(3, states.state(3, _SIZE))
  for one, other in zip(
    *map(jax.tree.leaves, (restored.state, states.state(3, _SIZE))), strict=True
  ):
    assert one.tobytes() == other.tobytes()
  assert [path.name for path in states.files(tmp_path / "checkpoints")]


def test_what_is_written_later_by_a_thread_is_removed_as_well(tmp_path):
  with saving.Checkpoints(tmp_path) as saved:
    with states.no_file_longer_than(_LIMIT):
      save(saved, 1)
      checked(saved)
    (tmp_path / "checkpoints" / "1.orbax-checkpoint-tmp" / "d").mkdir(
      parents=True
    )
    save(saved, 2)
  assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]


def test_no_older_checkpoint_is_removed_for_it(tmp_path):
  with saving.Checkpoints(tmp_path, keep=1) as saved:
    save(saved, 1)
    with states.no_file_longer_than(_LIMIT):
      save(saved, 2)
      checked(saved)
    save(saved, 3)
    saved.wait()
    # The one that a failed save was to replace is not forgotten, either.
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["3"]


def test_several_in_a_row_end_the_run(tmp_path):
  with saving.Checkpoints(tmp_path) as saved:
    with states.no_file_longer_than(_LIMIT):
      for step in range(1, saving.MOST_FAILURES):
        save(saved, step)
        checked(saved)
    save(saved, 10)  # one that succeeds begins to count anew
    checked(saved)
    with states.no_file_longer_than(_LIMIT):
      for step in range(11, 10 + saving.MOST_FAILURES):
        save(saved, step)
        checked(saved)
      save(saved, 20)
      with pytest.raises(
        StorageError, match=r"3 checkpoints in a row .* goes on from step 10$"
      ):
        checked(saved)


def test_the_end_of_a_run_does_not_lose_it_in_silence(tmp_path):
  with (
    pytest.raises(StorageError, match=r"of step 2 could not be saved: /"),
    saving.Checkpoints(tmp_path) as saved,
  ):
    save(saved, 1)
    saved.wait()
    with states.no_file_longer_than(_LIMIT):
      save(saved, 2)
      saved.wait()


def test_a_directory_that_cannot_be_made_is_such_a_failure(tmp_path, caplog):
  (tmp_path / "checkpoints").write_text("a file")
  with saving.Checkpoints(tmp_path) as saved:
    save(saved, 1)
    checked(saved)
    assert "step 1 could not be saved" in caplog.text
    (tmp_path / "checkpoints").unlink()
    save(saved, 2)
    saved.wait()
    assert saved.steps == [2]


def test_a_mistake_in_the_program_is_none(tmp_path):
  with saving.Checkpoints(tmp_path) as saved, pytest.raises(TypeError):
    saved.save(1, states.state(1), {"step": object()}, states.CONFIG)
    saved.wait()


def test_nothing_is_left_over(tmp_path, caplog):
  states.save(tmp_path, 1)
  left = [
    tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp" / "state" / "d",
    tmp_path / ".metrics.jsonl.0a1b2c3d.tmp",
  ]
  left[0].mkdir(parents=True)
  left[1].write_text("{")
  mine = tmp_path / ".notes.tmp"
  mine.write_text("kept")
  with (
    caplog.at_level(logging.INFO),
    saving.Checkpoints(tmp_path) as saved,
  ):
    assert saved.steps == [1]
    assert left[1].exists()
    saved.clean()
  assert {p.name for p in tmp_path.iterdir()} == {"checkpoints", ".notes.tmp"}
  assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["1"]
  assert "2.orbax-checkpoint-tmp" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_agree(tmp_path, processes):
  devices = 4 // processes
  hosts.launch("tests.checkpoints.save_on_hosts", processes, devices, tmp_path)
