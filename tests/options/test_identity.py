"""The identity of a run: what is saved of it, and what it may go on with."""

import json
import pathlib

import pytest

from hdc_jax import config as config_lib
from hdc_jax.errors import ConfigError
from hdc_jax.options import identity
from hdc_jax.options.schema import leaves
from hdc_jax.tasks import TASKS
from tests import small

WRITTEN = pathlib.Path(__file__).parents[1] / "compat" / "written_0_1_0"


def run_config(*args, **changes):
  config = small.config(*args, **changes)
  return TASKS[config.task].run_config(config.to_dict())


def through_json(config):
  return identity.with_tuples(json.loads(json.dumps(config.values)))


@pytest.mark.parametrize("task", TASKS)
def test_what_went_through_json_is_the_same_config(task):
  config = config_lib.default(task).to_dict()
  made = TASKS[task].run_config(config)
  saved = through_json(made)
  assert saved == made.values
  assert TASKS[task].run_config(saved).fingerprint == made.fingerprint
  made.check_resumes(saved, "run")


def test_flatten_lists_tuples():
  flat = identity.flatten({"a": {"b": (1, 2), "c": {"d": "x"}}, "e": 0})
  assert flat == {"a.b": [1, 2], "a.c.d": "x", "e": 0}


def test_every_field_counts_for_the_fingerprint():
  config = run_config()
  for path, value in leaves(config.values):
    if path == ("task",) or path in config.schema.selectors():
      continue  # of which there are only so many
    field = ".".join(path)
    other = config.changed({field: f"not {value}"})
    assert other.fingerprint != config.fingerprint, field
    same = config.changed({field: value})
    assert same.fingerprint == config.fingerprint, field


@pytest.mark.parametrize(
  ("field", "before"),
  [("train.profile", ()), ("train.trackers", ("tensorboard",))],
)
def test_fields_of_later_versions_leave_the_fingerprint(field, before):
  """With the value that earlier versions had in effect."""
  config = run_config().changed({field: before})
  values = {**config.values, "train": dict(config.values["train"])}
  del values["train"][field.partition(".")[2]]
  older = identity.RunConfig(values, config.schema)
  assert older.fingerprint == config.fingerprint


def test_a_change_decides_which_fields_there_are():
  config = run_config().changed({"optim.schedule": "cosine"})
  assert "decay" not in config.values["optim"]
  assert config.values["optim"]["warmup"] == 0


def test_the_order_of_fields_does_not_count():
  config = run_config()
  turned = {name: config.values[name] for name in reversed(config.values)}
  task = TASKS["pretrain"]
  assert task.run_config(turned).fingerprint == config.fingerprint


def test_changed_leaves_the_config_alone():
  config = run_config()
  before = json.dumps(config.values)
  other = config.changed({"augment.jitter.hue": 0.3, "seed": 5})
  assert other.values["augment"]["jitter"]["hue"] == 0.3
  assert other.values["augment"]["flip"] == 0.5
  assert json.dumps(config.values) == before


# Field → another value, and whether a run may go on with it.
CHANGES = {
  "seed": (1, False),
  "data__batch_size": (16, False),
  "data__canvas": (60, False),
  "data__stride": (2, False),
  "augment__jitter__hue": (0.3, False),
  "augment__scales": ((1.0,), False),
  "model__norm": ("batch", False),
  "method__temperature": (0.1, False),
  "optim__lr": (0.2, False),
  "optim__schedule": ("cosine", False),
  "data__threads": (1, True),
  "data__path": ("/elsewhere", True),
  "data__max_bad": (0.5, True),
  "train__steps": (40, True),
  "train__log_every": (1, True),
  # Batch norm takes its statistics over a microbatch.
  "train__microbatches": (2, False),
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_may_change_when_a_run_goes_on(field):
  value, may = CHANGES[field]
  saved = through_json(run_config())
  changed = run_config(**{field: value})
  if may:
    changed.check_resumes(saved, "runs/first")
    return
  name = field.replace("__", ".")
  if field == "optim__schedule":
    name = "optim.decay"  # which a cosine does not have
  with pytest.raises(
    ConfigError, match=rf"^config\.{name} is .*runs/first has"
  ):
    changed.check_resumes(saved, "runs/first")


def test_another_method_is_named():
  saved = through_json(run_config())
  with pytest.raises(ConfigError, match=r"^config\.\w+"):
    run_config(**small.METHODS["cvrl"]).check_resumes(saved, "run")


def test_a_field_that_was_not_there_had_its_default():
  """A run of a version that did not know the field goes on with it."""
  saved = through_json(run_config())
  del saved["method"]["symmetric"], saved["augment"]["replication"]
  run_config().check_resumes(saved, "run")
  with pytest.raises(ConfigError, match=r"method\.symmetric is True, .* False"):
    run_config(method__symmetric=True).check_resumes(saved, "run")


def test_a_field_that_is_no_more_does_not_matter():
  saved = through_json(run_config())
  saved["method"]["margin"] = 0.9
  saved["of an older version"] = {"x": 1}
  run_config().check_resumes(saved, "run")


@pytest.mark.parametrize("name", ["hdc", "cvrl", "dsm"])
def test_configs_with_the_fields_of_all_methods_still_resume(name):
  """As 0.1.0 wrote them: every field there was, in every run."""
  text = (WRITTEN / name / "config.json").read_text()
  saved = identity.with_tuples(json.loads(text))
  saved = saved.get("config", saved)
  assert "margin" in saved["method"]
  assert "hidden" in saved["method"]
  config = TASKS["pretrain"].run_config(saved)
  if "max_distort" in config.values["augment"]:
    # Height and width of crops were independent.
    with pytest.raises(ConfigError, match=r"max_distort is 1, but .* has 99"):
      config.check_resumes(saved, "run")
    config = config.changed({"augment.max_distort": 99})
  config.check_resumes(saved, "run")
  config.changed({"train.steps": 10**6}).check_resumes(saved, "run")
  with pytest.raises(ConfigError, match=r"config\.optim\.lr is 7\.0"):
    config.changed({"optim.lr": 7.0}).check_resumes(saved, "run")
