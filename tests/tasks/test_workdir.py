"""A run directory holds the run of one task, and one process writes to it."""

import hashlib

import pytest

from hdc_jax import config as config_lib
from hdc_jax import main, tasks
from hdc_jax.errors import ConfigError
from hdc_jax.runs import results
from hdc_jax.runtime import locks
from hdc_jax.tasks import execution
from tests import small

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)


def contents(directory):
  """Digests of all files below a directory."""
  return {
    path.relative_to(directory): hashlib.sha256(path.read_bytes()).digest()
    for path in directory.rglob("*")
    if path.is_file()
  }


def hold(workdir, task):
  """Makes a directory look like that of a run."""
  config = small.config(task)
  values = tasks.TASKS[task].run_config(config.to_dict()).values
  results.write_config(workdir, values)
  (workdir / results.RESULT).write_text('{"rows": []}')
  (workdir / "report.html").write_text("<html>")


@pytest.mark.parametrize("how", ["--dry_run", "--preflight", "--debug"])
def test_an_evaluation_does_not_overwrite_a_pretraining(how, tmp_path, capsys):
  hold(tmp_path, "pretrain")
  before = contents(tmp_path)
  code = main.main(
    [
      "--config=configs/tiny.py:task=retrieve",
      "--config.data.path=data",
      "--config.checkpoint=runs/first",
      f"--workdir={tmp_path}",
      how,
    ]
  )
  assert code == 2
  assert capsys.readouterr().err.splitlines()[-1] == (
    f"error: --workdir={tmp_path} holds a run of task pretrain, which task "
    "retrieve would overwrite: name another directory"
  )
  assert contents(tmp_path) == before


@pytest.mark.parametrize("task", tasks.TASKS)
@pytest.mark.parametrize("owner", tasks.TASKS)
def test_only_its_own_task_may_use_a_directory(task, owner, tmp_path):
  if owner == "tables":
    results.write_result(tmp_path, {"task": "tables"})
  else:
    hold(tmp_path, owner)
  if task == owner:
    tasks.TASKS[task].check_workdir(tmp_path)
  else:
    with pytest.raises(ConfigError, match=f"task {owner}, which task {task}"):
      tasks.TASKS[task].check_workdir(tmp_path)


def test_a_run_is_refused_before_it_begins(tmp_path):
  hold(tmp_path, "pretrain")
  config = small.config("embed", data__path="data", checkpoint="runs/first")
  with pytest.raises(ConfigError, match="holds a run of task pretrain"):
    execution.check(config, str(tmp_path))


def test_checkpoints_without_a_config_are_those_of_a_pretraining(tmp_path):
  (tmp_path / results.CHECKPOINTS).mkdir()
  with pytest.raises(ConfigError, match="holds a run of task pretrain"):
    tasks.TASKS["linear"].check_workdir(tmp_path)


def test_a_directory_in_the_way_of_a_table_is_found_at_once(tmp_path):
  config = config_lib.default(
    "tables",
    changes={"ucf101": "u", "hmdb51": "h", "pretrain.data.path": "k"},
  )
  tasks.check_workdir(config, str(tmp_path))
  (tmp_path / "pretrain" / "full").mkdir(parents=True)
  hold(tmp_path / "pretrain" / "full", "embed")
  with pytest.raises(ConfigError, match=r"pretrain/full holds a run of task e"):
    tasks.check_workdir(config, str(tmp_path))


def test_a_directory_in_use_is_named_before_anything_is_written(tmp_path):
  """A second run, while the first one has the lock."""
  config = small.config(data__path="data")
  with (
    locks.locked(tmp_path, "--workdir"),
    pytest.raises(ConfigError, match="is in use by another process"),
  ):
    execution.execute(config, str(tmp_path))
  assert not contents(tmp_path)
