"""A network is pretrained on several datasets at once."""

import json

import pytest

from hdc_jax import main, tasks
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.tasks import preflight, pretrain
from tests import small


@pytest.fixture(scope="module")
def path(prepared, tmp_path_factory):
  """A mixture of 24 and 8 videos to learn from."""
  output = str(tmp_path_factory.mktemp("other"))
  options = ["--seed=1", "--videos=10", "--short_side=40", "--workers=1"]
  assert (
    prepare.main(["--dataset=synthetic", "--output", output, *options]) == 0
  )
  return f"{prepared}:3,{output}:1"


def held(path):
  """What is said of batches."""
  first, second = (part.rpartition(":")[0] for part in path.split(","))
  return f"each batch of 8 videos has 6 of {first}, 2 of {second}"


def test_preflight_names_every_dataset(path, tmp_path):
  made = small.tiny(data__path=path)
  found = preflight.check(made, str(tmp_path / "run"))
  for part, videos in zip(path.split(","), ("30", "10"), strict=True):
    assert f"data       {part.rpartition(':')[0]}: {videos} videos in" in found
  assert held(path) in found


def test_a_dry_run_checks_the_shares(path, capsys):
  flags = ["--config=configs/tiny.py", *small.FLAGS, "--dry_run"]
  flags.append(f"--config.data.path={path}")
  assert main.main([*flags, "--config.data.batch_size=40"]) == 2
  assert "30 videos of each batch would be of" in capsys.readouterr().err
  assert main.main([*flags, "--config.data.batch_size=8"]) == 0
  assert held(path) in capsys.readouterr().err


@pytest.mark.parametrize("task", ["retrieve", "linear", "finetune", "embed"])
def test_an_evaluation_takes_one_dataset(task, path):
  made = small.tiny(task, data__path=path, checkpoint="run")
  with pytest.raises(ConfigError, match="name one dataset to evaluate on"):
    tasks.resolve(made, "")


@pytest.mark.slow
def test_a_run_is_resumed_with_its_mixture_alone(path, tmp_path, quick):
  def run(path, steps):
    changes = {"data__path": path, "train__steps": steps}
    return pretrain.run(small.tiny(**changes), str(tmp_path))

  run(path, 2)
  result = run(path, 4)
  assert result["steps"] == 4
  written = json.loads((tmp_path / "config.json").read_text())
  assert written["data"]["path"] == path
  for other in (path.replace(":3,", ":2,"), path.partition(":3,")[0]):
    with pytest.raises(DataError, match="another dataset than the run began"):
      run(other, 6)
