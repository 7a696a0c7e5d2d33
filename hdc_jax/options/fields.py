"""Options: the fields of a config, declared and checked by who uses them.

Every component has a frozen dataclass of its options, in which each field has a
default, a sentence that explains it, and the values it may take:

>>> @dataclasses.dataclass(frozen=True)
... class Clips(Options, section="data"):
...   frames: int = option(16, "Frames per clip.", at_least=1)
>>> Clips(frames=8)
Clips(frames=8)
>>> Clips(frames=0)
Traceback (most recent call last):
hdc_jax.errors.ConfigError: config.data.frames=0 must be at least 1

So a wrong value is an error wherever it comes from: a config file, the command
line, or Python. `config.resolve` builds these objects from a config, and the
table of fields in docs/options.md is made from them.
"""

import dataclasses
import math
import operator
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Self

from hdc_jax.errors import ConfigError, choose, require


@dataclasses.dataclass(frozen=True)
class Rule:
  """What a field means, and which values it may have.

  Attributes:
    help: A sentence that explains the field.
    at_least: The smallest value allowed.
    above: A value that must be exceeded.
    at_most: The largest value allowed.
    below: A value that must not be reached.
    multiple_of: What the value must be a multiple of.
    choices: All values allowed.
    lengths: All numbers of elements that a tuple may have.
    required: What to do where a string or tuple is empty; '' if it may be.
    when: Another field of the same dataclass, and its values with which this
      field has an effect; with any other value a config does not have it.

  Rules for numbers, and choices, hold for each element of a tuple.
  """

  help: str
  at_least: float | None = None
  above: float | None = None
  at_most: float | None = None
  below: float | None = None
  multiple_of: int | None = None
  choices: Collection[Any] | None = None
  lengths: Collection[int] | None = None
  required: str = ""
  when: tuple[str, Collection[Any]] | None = None


def option(default: Any, help: str, **rule: Any) -> Any:
  """A field of a dataclass of options.

  Args:
    default: The value that a config has unless it is changed.
    help: A sentence that explains the field.
    **rule: The values allowed, see `Rule`.
  """
  return dataclasses.field(
    default=default, metadata={"rule": Rule(help, **rule)}
  )


@dataclasses.dataclass(frozen=True)
class Options:
  """Base of the dataclasses of options, whose fields are made by `option`.

  A field may itself be such a dataclass: a section within the section.

  Attributes:
    section: Where the fields are in a config: 'data' for `config.data.frames`;
      '' for the top level.
  """

  section: ClassVar[str] = ""

  def __init_subclass__(cls, section: str | None = None) -> None:
    """Sets the section, which is otherwise that of the base class."""
    if section is not None:
      cls.section = section

  def __post_init__(self) -> None:
    """Checks every field, and then how they go together.

    Raises:
      ConfigError: Naming the field and the values that it may have.
    """
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not isinstance(value, Options):
        check_value(self.full_name(field.name), value, field)
    self.check()

  def check(self) -> None:
    """Checks how fields go together; for subclasses to extend.

    Raises:
      ConfigError: Naming the fields that do not.
    """

  @classmethod
  def full_name(cls, name: str) -> str:
    """The full name of a field: 'config.data.frames'."""
    return ".".join(filter(None, ("config", cls.section, name)))

  @classmethod
  def active(cls, values: Mapping[str, Any]) -> Iterator[dataclasses.Field]:
    """The fields that have an effect.

    Args:
      values: Of some or all fields; the others have their defaults.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for field in fields.values():
      when = rule_of(field).when
      if (
        when is None or values.get(when[0], fields[when[0]].default) in when[1]
      ):
        yield field

  @classmethod
  def parents(cls) -> tuple[str, ...]:
    """The names that lead to the section: ('data',); none at the top level."""
    return tuple(cls.section.split(".")) if cls.section else ()

  @classmethod
  def defaults(cls) -> dict[str, Any]:
    """The defaults of all fields, whether they have an effect or not."""
    return {
      field.name: (
        type(field.default).defaults()
        if isinstance(field.default, Options)
        else field.default
      )
      for field in dataclasses.fields(cls)
    }

  @classmethod
  def fitted(cls, values: Mapping[str, Any]) -> dict[str, Any]:
    """The active fields with these values, or else their defaults.

    Args:
      values: Of some or all fields; what is not a field is left out.
    """
    fitted = {}
    for field in cls.active(values):
      value = values.get(field.name, field.default)
      if isinstance(field.default, Options):
        nested = value if isinstance(value, Mapping) else vars(value)
        value = type(field.default).fitted(nested)
      fitted[field.name] = value
    return fitted

  @classmethod
  def from_values(cls, values: Mapping[str, Any]) -> Self:
    """Options of these values, as far as they are given and have an effect.

    Args:
      values: Of some or all fields; what is not a field is left out.

    Raises:
      ConfigError: If a value is wrong.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    made = cls.fitted(values)
    for name, value in made.items():
      if isinstance(default := defaults[name], Options):
        made[name] = type(default).from_values(value)
    return cls(**made)


def rule_of(field: dataclasses.Field) -> Rule:
  """The rule of a field made by `option`."""
  return field.metadata["rule"]


def check_value(path: str, value: Any, field: dataclasses.Field) -> None:
  """Checks the type and the range of a value.

  Args:
    path: The full name of the field, for the message.
    value: What the field is to have.
    field: A field made by `option`.

  Raises:
    ConfigError: If the value is of another type than the default, not finite,
      or outside of what the field's rule allows.
  """
  rule, like = rule_of(field), field.default
  _check_type(path, value, like)
  if rule.required:
    require(path, value, rule.required)
  if rule.lengths and len(value) not in rule.lengths:
    lengths = " or ".join(map(str, rule.lengths))
    raise ConfigError(f"{path}={value} must have {lengths} elements")
  for element in value if isinstance(value, tuple) else (value,):
    _check_element(path, value, element, rule)


def _check_type(path: str, value: Any, like: Any) -> None:
  """Raises ConfigError if a value is not of the type of another."""
  if isinstance(like, tuple) and isinstance(value, tuple):
    for element in value if like else ():
      _check_type(path, element, like[0])
    return
  wanted = (int, float) if isinstance(like, float) else type(like)
  # To Python, True and False are integers.
  mixed = isinstance(value, bool) and not isinstance(like, bool)
  if mixed or not isinstance(value, wanted):
    raise ConfigError(f"{path}={value!r} must be like {like!r}")


def _check_element(path: str, value: Any, element: Any, rule: Rule) -> None:
  """Raises ConfigError if an element of a value breaks a rule."""
  if rule.choices is not None:
    choose(path, element, tuple(rule.choices))
  if isinstance(element, float) and not math.isfinite(element):
    raise ConfigError(f"{path}={value} must be finite")
  for words, bound, holds in (
    ("at least", rule.at_least, operator.ge),
    ("above", rule.above, operator.gt),
    ("at most", rule.at_most, operator.le),
    ("below", rule.below, operator.lt),
    ("a multiple of", rule.multiple_of, lambda x, n: x % n == 0),
  ):
    if bound is not None and not holds(element, bound):
      raise ConfigError(f"{path}={value} must be {words} {bound:g}")
