"""`import hdc_jax`: the same as the commands, in one process."""

import inspect
import json
import logging
import pathlib
import subprocess
import sys
import textwrap
import threading

import pytest

import hdc_jax
from hdc_jax import main, tasks
from hdc_jax.config import flags
from hdc_jax.config.recipes import default
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.options.schema import leaves
from hdc_jax.prepare import command
from hdc_jax.runtime.progress import Progress

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

ROOT = pathlib.Path(__file__).parents[1]
FIELDS = {
  "data.frames": 4,
  "data.canvas": 32,
  "data.batch_size": 4,
  "model.size": 16,
  "model.width": 2,
  "method.blocks": (5,),
  "method.weights": (1.0,),
  "train.steps": 2,
  "train.log_every": 1,
}
CONFIG = str(ROOT / "configs" / "tiny.py")


@pytest.fixture(scope="module")
def videos(write_video, tmp_path_factory):
  """A folder of two videos."""
  folder = tmp_path_factory.mktemp("videos")
  for name in ("a.mp4", "b.mp4"):
    write_video(folder / name)
  return folder


@pytest.mark.parametrize("name", ["prepare", "evaluate"])
def test_a_part_of_the_package_can_be_called(name):
  """It has the signature of the function, whatever was imported before."""
  part = getattr(hdc_jax, name)
  assert part is sys.modules[f"hdc_jax.{name}"]
  function = getattr(sys.modules["hdc_jax.api"], name)
  assert inspect.signature(part) == inspect.signature(function)


def test_names():
  assert {"load", "prepare", "pretrain", "evaluate"} < set(dir(hdc_jax))
  assert hdc_jax.load is sys.modules["hdc_jax.api"].load
  with pytest.raises(AttributeError, match="no attribute 'encode'"):
    _ = hdc_jax.encode


def test_prepare_is_the_command(videos, tmp_path, capsys):
  options = {"source": videos, "short_side": 32, "workers": 1}
  made = hdc_jax.prepare("folder", tmp_path / "a", **options)
  shown = capsys.readouterr()
  assert "2 videos" in shown.out
  flags = [f"--{name}={value}" for name, value in options.items()]
  assert (
    command.main(["--dataset=folder", f"--output={tmp_path}/b", *flags]) == 0
  )
  other = Index.load(tmp_path / "b")
  assert made["fingerprint"] == other.fingerprint
  assert made == json.loads((tmp_path / "a" / "index.json").read_text())
  capsys.readouterr()
  # Again, in the same process: nothing is left to do, nor shown.
  assert (
    hdc_jax.prepare("folder", tmp_path / "a", quiet=True, **options) == made
  )
  assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
  ("options", "error", "message"),
  [
    ({"dataset": "foldr"}, ConfigError, "invalid choice: 'foldr'"),
    ({"sorce": "x"}, ConfigError, "--sorce"),
    ({"short_side": 33}, ConfigError, "short_side=33 must be even"),
    ({"short_side": "wide"}, ConfigError, "short_side.*invalid int"),
    ({"workers": 0}, ConfigError, "workers: 0 must be at least 1"),
    ({"source": "nowhere"}, DataError, "nowhere"),
    ({"runner_options": ["--region=x"]}, ConfigError, "after -- are for Beam"),
  ],
)
def test_prepare_refuses(options, error, message, videos, tmp_path):
  given = {"dataset": "folder", "source": videos} | options
  with pytest.raises(error, match=message):
    hdc_jax.prepare(output=tmp_path / "data", **given)


@pytest.mark.slow
def test_a_program_that_does_not_ask_for_its_name(videos, tmp_path):
  """Processes that decode do not run it again."""
  program = tmp_path / "program.py"
  program.write_text(
    textwrap.dedent(f"""
      import hdc_jax
      made = hdc_jax.prepare(
        "folder", "data", source={str(videos)!r}, workers=2, quiet=True
      )
      print(made["num_videos"], made["skipped"])
    """)
  )
  done = subprocess.run(
    [sys.executable, program],
    cwd=tmp_path,
    env={"PYTHONPATH": str(ROOT), "PATH": ""},
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert (done.stdout, done.stderr) == ("2 []\n", "")


@pytest.fixture
def data(quick, prepared):
  """The fields of a quick pretraining."""
  return FIELDS | {"data.path": prepared}


def curve(workdir):
  """The losses of a run."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def test_pretrain_is_the_command(data, tmp_path, capsys):
  """And again in the same process: by sections, quietly, and resumed."""
  before = logging.getLogger("hdc_jax").handlers, Progress.shown
  result = hdc_jax.pretrain(CONFIG, tmp_path / "a", data)
  assert result == json.loads((tmp_path / "a" / "result.json").read_text())
  assert result["task"] == "pretrain" and result["steps"] == 2
  assert "report:" in capsys.readouterr().err

  arguments = flags.arguments(data)
  assert (
    main.main([f"--config={CONFIG}", f"--workdir={tmp_path}/b", *arguments])
    == 0
  )
  capsys.readouterr()
  assert curve(tmp_path / "a") == curve(tmp_path / "b")

  sections = {}
  for name, value in data.items():
    section, field = name.split(".")
    sections.setdefault(section, {})[field] = value
  sections["train"]["steps"] = 1
  hdc_jax.pretrain(CONFIG, tmp_path / "c", quiet=True, **sections)
  sections["train"]["steps"] = 2
  again = hdc_jax.pretrain(CONFIG, tmp_path / "c", quiet=True, **sections)
  assert again["config_fingerprint"] == result["config_fingerprint"]
  assert curve(tmp_path / "c") == curve(tmp_path / "a")
  assert capsys.readouterr() == ("", "")
  assert before == (logging.getLogger("hdc_jax").handlers, Progress.shown)


@pytest.mark.slow
def test_evaluate_is_the_command(data, tmp_path, capsys):
  hdc_jax.pretrain(CONFIG, tmp_path / "run", data, quiet=True)
  fields = {
    name: value
    for name, value in data.items()
    if name.startswith(("data.path", "data.frames", "model", "data.canvas"))
  }
  fields |= {"checkpoint": str(tmp_path / "run"), "test.clips": 1}
  config = f"{CONFIG}:task=embed"
  result = hdc_jax.evaluate(config, tmp_path / "x", fields)
  assert result == json.loads((tmp_path / "x" / "result.json").read_text())
  assert [row["vectors"] for row in result["rows"]] == [30]
  assert "features of 30 videos" in capsys.readouterr().out
  with pytest.raises(ConfigError, match="holds a run of task embed"):
    hdc_jax.evaluate(f"{CONFIG}:task=bias", tmp_path / "x", fields)


def test_in_another_thread(data, tmp_path):
  """Which signals do not reach: that of a server, say."""
  results = []

  def work():
    results.append(hdc_jax.pretrain(CONFIG, tmp_path, data, quiet=True))

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert results[0]["steps"] == 2


PRETRAIN, EVALUATE = hdc_jax.pretrain, hdc_jax.evaluate


@pytest.mark.parametrize(
  ("function", "config", "fields", "message"),
  [
    (PRETRAIN, "tny", {}, "--config=tny: there is no such file.* tiny"),
    (PRETRAIN, "tiny", {}, "config.data.path is not set"),
    (PRETRAIN, "tiny", {"optim.lrr": 1}, "did you mean 'lr'"),
    (PRETRAIN, "tiny", {"data.frames": "many"}, "config.data.frames=many"),
    (PRETRAIN, "tiny", {"data.frames": 2.5}, "config.data.frames=2.5"),
    (
      PRETRAIN,
      "tiny",
      {"data.path": None},
      "config.data.path=None is no value",
    ),
    (PRETRAIN, "tiny", {"train": {"stesp": 1}}, "did you mean 'steps'"),
    (
      PRETRAIN,
      "tiny:task=retrieve",
      {},
      "is of task retrieve: call .*evaluate",
    ),
    (EVALUATE, "tiny", {}, "is of task pretrain: call .*tiny:task=retrieve"),
    (EVALUATE, "tiny:task=retrieve", {"data.path": "x"}, "checkpoint is not"),
  ],
)
def test_bad_configs(function, config, fields, message, tmp_path):
  with pytest.raises(ConfigError, match=message):
    function(config, tmp_path / "run", fields)
  assert not (tmp_path / "run").exists()


def test_a_field_that_is_given_twice(tmp_path):
  with pytest.raises(ConfigError, match=r"config\.data\.path is given twice"):
    PRETRAIN("tiny", tmp_path, {"data.path": "a"}, data={"path": "b"})


@pytest.mark.parametrize("task", sorted(set(tasks.TASKS) - {"tables"}))
def test_every_field_can_be_given(task):
  """As Python has it, it is what the command line makes of it."""
  want = default(task).to_dict()
  given = {
    ".".join(path): list(value) if isinstance(value, tuple) else value
    for path, value in leaves(want)
    if path not in (("task",), ("method", "name"))
  }
  config = f"{CONFIG}:task={task}"
  found = flags.read_config(config, flags.arguments(given)).to_dict()
  assert found == want
