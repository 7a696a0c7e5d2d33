"""Which fields a config has, and the options that are built from it."""

import dataclasses
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.errors import ConfigError
from hdc_jax.options import Options, Schema, Variant, option
from hdc_jax.options.schema import leaves, nest
from hdc_jax.tasks import TASKS


@dataclasses.dataclass(frozen=True)
class Seed(Options):
  """At the top level."""

  seed: int = option(0, "Seed.", at_least=0)


@dataclasses.dataclass(frozen=True)
class Backbone(Options, section="model"):
  """What all backbones have."""

  width: int = option(64, "Width.", at_least=1)


@dataclasses.dataclass(frozen=True)
class Plain(Backbone):
  """A backbone without options of its own."""


@dataclasses.dataclass(frozen=True)
class Residual(Backbone):
  """A backbone with one."""

  shortcut: str = option("A", "Shortcut.", choices=("A", "B"))


@dataclasses.dataclass(frozen=True)
class Jitter(Options, section="augment.jitter"):
  """A section within a section."""

  hue: float = option(0.1, "Hue.", at_least=0)


@dataclasses.dataclass(frozen=True)
class Augment(Options, section="augment"):
  """Has a section of its own."""

  flip: float = option(0.5, "Flip.", at_least=0, at_most=1)
  jitter: Jitter = option(Jitter(), "Jitter.")


@dataclasses.dataclass(frozen=True)
class Optim(Options, section="optim"):
  """Has a field with a condition."""

  schedule: str = option("flat", "Schedule.", choices=("flat", "cosine"))
  warmup: int = option(0, "Steps.", at_least=0, when=("schedule", ("cosine",)))


@dataclasses.dataclass(frozen=True)
class Training:
  """Options of a task."""

  seed: Seed
  model: Annotated[
    Backbone, Variant("model", {"residual": Residual, "plain": Plain})
  ]
  augment: Augment
  optim: Optim


SCHEMA = Schema(Training)
PLAIN = {"model": {"name": "plain"}}


def test_defaults_are_of_the_first_variant():
  assert SCHEMA.defaults() == {
    "seed": 0,
    "model": {"name": "residual", "width": 64, "shortcut": "A"},
    "augment": {"flip": 0.5, "jitter": {"hue": 0.1}},
    "optim": {"schedule": "flat"},
  }
  assert SCHEMA.defaults({"model": "plain"})["model"] == {
    "name": "plain",
    "width": 64,
  }


WIDTHS = st.integers(1, 9)
CONFIGS = st.fixed_dictionaries(
  {},
  optional={
    "task": st.just("train"),
    "seed": st.integers(0, 9),
    "model": st.fixed_dictionaries(
      {},
      optional={
        "name": st.sampled_from(["residual", "plain"]),
        "width": WIDTHS,
        "shortcut": st.sampled_from("AB"),
        "of another version": WIDTHS,
      },
    ),
    "augment": st.fixed_dictionaries(
      {}, optional={"jitter": st.fixed_dictionaries({"hue": st.just(0.3)})}
    ),
    "optim": st.fixed_dictionaries(
      {},
      optional={
        "schedule": st.sampled_from(["flat", "cosine"]),
        "warmup": WIDTHS,
      },
    ),
  },
)


@settings(deadline=None)
@given(CONFIGS)
def test_what_is_fitted_has_just_its_fields(values):
  """It can be built, and fitted again nothing changes."""
  fitted = SCHEMA.fit(values)
  assert SCHEMA.fit(fitted) == fitted
  names = {path: value for path, value in leaves(values)}
  for path, value in leaves(fitted):
    assert value == names.get(path, value)
    SCHEMA.check_field(path, fitted)
  assert ("shortcut" in fitted["model"]) == (
    fitted["model"]["name"] == "residual"
  )
  assert ("warmup" in fitted["optim"]) == (
    fitted["optim"]["schedule"] == "cosine"
  )
  made = SCHEMA.build(fitted)
  assert made.model.width == fitted["model"]["width"]
  assert made.augment.jitter.hue == fitted["augment"]["jitter"]["hue"]


def test_a_variant_decides_about_the_class():
  assert SCHEMA.build({}).model == Residual()
  made = SCHEMA.build({"model": {"name": "plain", "width": 3}})
  assert made.model == Plain(width=3)
  assert SCHEMA.classes(PLAIN)["model"] is Plain


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"model": {"name": "vgg"}}, r"config.model.name: 'vgg' is not one of res"),
    (
      {"model": {"widht": 3}},
      r"config.model \(of residual\): 'widht' is not .*"
      "name, width, shortcut; did you mean 'width'",
    ),
    (
      {"model": {"name": "plain", "shortcut": "B"}},
      r"config.model \(of plain\): 'shortcut' is not one of name, width",
    ),
    ({"optm": {"warmup": 1}}, "config: 'optm' is not .*; did you mean 'optim'"),
    (
      {"optim": {"warmup": 1}},
      "config.optim.warmup has an effect only with "
      "config.optim.schedule=cosine, which is .*: leave it out",
    ),
    (
      {"augment": {"jitter": {"hu": 1.0}}},
      "config.augment.jitter: 'hu' is not",
    ),
    ({"optim": {"schedule": "cosine", "warmup": -1}}, "config.optim.warmup=-1"),
    ({"augment": {"jitter": {"hue": -1.0}}}, "config.augment.jitter.hue=-1.0"),
    ({"seed": -1}, "config.seed=-1 must be at least 0"),
  ],
)
def test_wrong_values_are_named_with_what_there_is(values, message):
  with pytest.raises(ConfigError, match=message):
    SCHEMA.build(values)


def test_a_value_has_no_fields():
  message = "config.seed is a value, it has no field 'a'"
  with pytest.raises(ConfigError, match=message):
    SCHEMA.check_field(("seed", "a"), SCHEMA.defaults())


@pytest.mark.parametrize(
  "values",
  [
    {"model": {"name": "plain", "shortcut": "A"}},
    {"optim": {"schedule": "flat", "warmup": 0}},
  ],
)
def test_defaults_that_another_variant_has_are_no_error(values):
  """A config that is changed from one variant to another still has them."""
  assert SCHEMA.build(values) == SCHEMA.build(SCHEMA.fit(values))


def test_selectors_are_what_other_fields_depend_on():
  assert SCHEMA.selectors() == {("model", "name"), ("optim", "schedule")}


def test_whole_configs_can_be_sections():
  @dataclasses.dataclass(frozen=True)
  class Several:
    seed: Seed

  several = Schema(Several, {"first": SCHEMA, "second": SCHEMA})
  fitted = several.fit({"seed": 3, "first": PLAIN})
  assert fitted["seed"] == 3
  assert fitted["first"]["model"]["name"] == "plain"
  assert fitted["second"] == SCHEMA.defaults()
  assert ("second", "model", "name") in several.selectors()
  assert ("first", "model", "shortcut") in several.known()
  with pytest.raises(ConfigError, match=r"\(of plain\): 'shortcut' is not one"):
    several.check_field(("first", "model", "shortcut"), fitted)
  several.check_field(("second", "model", "shortcut"), fitted)


@settings(deadline=None)
@given(CONFIGS)
def test_nested_values_have_the_same_leaves(values):
  flat = {".".join(path): value for path, value in leaves(values)}
  assert dict(leaves(nest(flat))) == dict(leaves(values))


@pytest.mark.parametrize("task", TASKS)
def test_every_field_of_a_task_says_what_it_means(task):
  """In a sentence; and every default is one that the field takes."""
  schema = TASKS[task].schema
  for kind in schema.kinds().values():
    classes = kind.classes.values() if isinstance(kind, Variant) else (kind,)
    for cls in classes:
      for field in dataclasses.fields(cls):
        text = field.metadata["rule"].help
        assert text[0].isupper() or text[0] == "λ"
        assert text.endswith(".")
  fitted = schema.fit({"task": task})
  for path, _ in leaves(fitted):
    schema.check_field(path, fitted)
