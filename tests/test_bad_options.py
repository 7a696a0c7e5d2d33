"""Wrong options: one line, exit code 2, wherever they are given."""

import dataclasses

import pytest

from hdc_jax import config as config_lib
from hdc_jax import main, tasks
from hdc_jax.errors import ConfigError
from hdc_jax.options import Options
from hdc_jax.options.declaring import rule_of
from hdc_jax.options.schema import Variant
from launch import gke, skypilot, tpu_vm
from tests.launch import example

DATA = "--config.data.path=/nowhere"

# What users have written: arguments of the command, and what the line says.
WRITTEN = {
  "checkpoint_every=0": ("train.checkpoint_every=0", "at least 1"),
  "log_every=0": ("train.log_every=0", "at least 1"),
  "width=0": ("model.width=0", "at least 1"),
  "width=-4": ("model.width=-4", "at least 1"),
  "stem": ("model.stem=(1,)", "0 or 3 elements"),
  "dim=0": ("method.dim=0", "at least 1"),
  "no scales": ("augment.scales=()", "augment.scales is not set"),
  "scales=2": ("augment.scales=(2.0,)", "at most 1"),
  "seed=-1": ("seed=-1", "at least 0"),
  "temperature=0": ("method.temperature=0", "method.temperature=0.0"),
  "lr=nan": ("optim.lr=nan", "optim.lr=nan must be finite"),
  "steps=-5": ("train.steps=-5", "at least 1"),
  "batch_size=-4": ("data.batch_size=-4", "at least 1"),
  "field of a value": ("data.path.foo=3", "it has no field 'foo'"),
  "another method's": ("method.margin=1", "(of hdc): 'margin' is not one of"),
  "another's views": ("augment.blur=(1.0,0.1)", "(of hdc): 'blur' is not one"),
  "another schedule's": (
    "optim.warmup=3",
    "only with config.optim.schedule=cosine",
  ),
  "another task's": (
    "retrieve.topk=(1,)",
    "(of task pretrain): 'retrieve' is not one of",
  ),
  "method": ("method.name=cvrl", "--config=FILE:method=cvrl"),
  "task": ("task=finetune", "--config=FILE:task=finetune"),
  "view larger than its clip": ("model.size=300", "config.data.canvas=56"),
  "keep_best": (
    "train.keep_best=probe/motion/block5/knm",
    "needs the online probe",
  ),
  "profile": ("train.profile=(5,2)", "the first and the last step to trace"),
  "profile of later": ("train.profile=(1,1000000)", "step to trace, of 400"),
  "too few weights": ("method.weights=(1.0,)", "one weight for each"),
  "no such block": ("method.blocks=(7,8,9)", "at most 5"),
}
HOW = {
  "run": ("--workdir=/nowhere/run",),
  "dry run": ("--dry_run",),
  "preflight": ("--workdir=/nowhere/run", "--preflight"),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("case", WRITTEN)
def test_the_command_refuses(case, how, capsys):
  field, message = WRITTEN[case]
  arguments = ("--config=tiny", DATA, f"--config.{field}", *HOW[how])
  assert main.main(arguments) == 2
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert line.startswith("error: config")
  assert message in line


@pytest.mark.parametrize("launcher", [tpu_vm, gke, skypilot])
@pytest.mark.parametrize("case", WRITTEN)
def test_launchers_refuse(case, launcher, capsys):
  """Before anything is queued, printed or asked."""
  field, message = WRITTEN[case]
  run = (
    "--config=tiny",
    "--config.data.path=gs://bucket/data",
    "--workdir=gs://bucket/run",
    f"--config.{field}",
  )
  project = "--project=my-project"
  assert launcher.main(example.argv(project, "--dry_run", args=run)) == 2
  out, err = capsys.readouterr()
  (line,) = err.strip().splitlines()
  assert line.startswith("error: config")
  assert message in line
  assert not out


def every_field():
  """A task, its method and backbone, and the path of each of its fields."""
  for task in tasks.TASKS.values():
    for kind in task.schema.kinds().values():
      named = kind.classes if isinstance(kind, Variant) else {"": kind}
      for name, cls in named.items():
        section = kind.section if isinstance(kind, Variant) else ""
        for owner, field in fields_of(cls):
          yield pytest.param(
            *(task.name, section, name, owner, field),
            id=f"{task.name}-{name}-{owner.full_name(field.name)}",
          )


def fields_of(cls):
  for field in dataclasses.fields(cls):
    if isinstance(field.default, Options):
      yield from fields_of(type(field.default))
    else:
      yield cls, field


@pytest.mark.parametrize(
  ("task", "section", "name", "owner", "field"), [*every_field()]
)
def test_every_option_is_checked(task, section, name, owner, field):
  """A value of another type, and one outside of the range if there is one."""
  method = name if section == "method" else "hdc"
  changes = {"data.path": "/nowhere", "checkpoint": "/nowhere"}
  if task == "tables":
    changes = {}
  if task in ("pretrain", "preview"):
    del changes["checkpoint"]
  if section == "model":
    changes["model.name"] = name
  path = owner.full_name(field.name).removeprefix("config.")
  rule = rule_of(field)
  if rule.when:
    changes[f"{owner.section}.{rule.when[0]}"] = rule.when[1][0]
  for value in wrong_values(owner, field, rule):
    config = config_lib.default(task, method, changes=changes | {path: value})
    with pytest.raises(ConfigError, match=f"config.{path}"):
      tasks.task_of(config).resolve(config)


def wrong_values(owner, field, rule):
  """A value of another type, and one for each bound that the rule has."""
  like = field.default
  # In the tests another checker of types answers first for methods.
  if not owner.__module__.startswith("hdc_jax.methods"):
    yield 1.5 if isinstance(like, tuple | str) else "text"
  if rule.required:
    yield type(like)()
  sample = like[0] if isinstance(like, tuple) and like else like
  elements = [
    float(bound + offset) if isinstance(sample, float) else bound + offset
    for bound, offset in (
      (rule.at_least, -1),
      (rule.above, 0),
      (rule.at_most, 1),
      (rule.below, 0),
    )
    if bound is not None
  ]
  if rule.choices is not None:
    elements.append("nope" if isinstance(sample, str) else -1)
  for element in elements:
    if isinstance(like, tuple):
      yield (element,) * max(rule.lengths or (1,))
    else:
      yield element
