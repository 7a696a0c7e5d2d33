"""Options: the fields of a config, declared by the component that uses them.

Every component has a frozen dataclass of its options. Each field has a default,
a sentence that explains it, and rules for its values:

>>> @dataclasses.dataclass(frozen=True)
... class Clips(Options, section="data"):
...   frames: int = option(16, "Frames per clip.", at_least=1)
>>> Clips(frames=8)
Clips(frames=8)
>>> Clips(frames=0)
Traceback (most recent call last):
hdc_jax.errors.ConfigError: config.data.frames=0 must be at least 1

So a wrong value is an error, whether a config file, the command line or Python
gives it. `Schema.build` makes these objects from a config, and docs/options.md
is a table of all of them.
"""

import dataclasses
import math
import operator
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Self

from hdc_jax.errors import ConfigError, choose, require
from hdc_jax.runtime import redaction


@dataclasses.dataclass(frozen=True)
class Rule:
  """The meaning of a field, and the values that it may have.

  If the value is a tuple, each element must obey the rules for numbers and be
  one of the choices.

  Attributes:
    help: A sentence that explains the field.
    at_least: Smallest value allowed.
    above: Bound that the value must exceed.
    at_most: Largest value allowed.
    below: Bound that the value must stay below.
    multiple_of: Number that must divide the value.
    choices: All values allowed.
    lengths: All lengths that a tuple may have.
    required: What to do if a string or tuple is empty, for the message of the
      error; '' if it may be empty.
    when: Name of another field of the same dataclass, and the values of that
      field with which this one has an effect: a tuple, or the range from the
      smallest one. With others, a config does not have this field.
    before: Value that the field had, in effect, in runs of versions without it.
      It does not count for the fingerprint of a config, so that these runs keep
      theirs. None if there are no such versions.
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
  before: Any = None

  def holds(self, value: Any) -> bool:
    """Whether `when` allows a value of the other field, of any type."""
    _, values = self.when or ("", ())
    if isinstance(values, range) and type(value) is not int:
      return False  # A range would compare it with all of its numbers.
    return value in values

  def condition(self, prefix: str = "") -> str:
    """The condition of `when` in words: 'crops=areas', or 'every at least 1'.

    Args:
      prefix: Text before the name of the field.
    """
    field, values = self.when or ("", ())
    if isinstance(values, range):
      return f"{prefix}{field} at least {values.start}"
    return f"{prefix}{field}={' or '.join(map(str, values))}"


def option(default: Any, help: str, **rule: Any) -> Any:
  """Declares a field of a dataclass of options.

  Args:
    default: Default of the field.
    help: A sentence that explains the field.
    **rule: Rules for the value, see `Rule`.
  """
  return dataclasses.field(
    default=default, metadata={"rule": Rule(help, **rule)}
  )


@dataclasses.dataclass(frozen=True)
class Options:
  """Base of the dataclasses of options, whose fields are made by `option`.

  A field may itself be such a dataclass: a section within the section.

  Attributes:
    section: Section of the config that has the fields: 'data' for
      `config.data.frames`; '' for the top level.
  """

  section: ClassVar[str] = ""

  def __init_subclass__(cls, section: str | None = None) -> None:
    """Sets the section, which is otherwise that of the base class."""
    if section is not None:
      cls.section = section

  def __post_init__(self) -> None:
    """Checks every field by its rule, and then all together by `check`.

    Raises:
      ConfigError: Naming the field and the values that it may have.
    """
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not isinstance(value, Options):
        check_value(self.full_name(field.name), value, field)
    self.check()

  def check(self) -> None:
    """Checks fields against each other; subclasses may override it.

    Raises:
      ConfigError: Naming the fields that contradict each other.
    """

  @classmethod
  def full_name(cls, name: str) -> str:
    """The full name of a field: 'config.data.frames' for 'frames'."""
    return ".".join(filter(None, ("config", cls.section, name)))

  @classmethod
  def active(cls, values: Mapping[str, Any]) -> Iterator[dataclasses.Field]:
    """Yields the fields that have an effect.

    Args:
      values: Values of some or all fields, by name. The other fields have their
        defaults.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for field in fields.values():
      rule = rule_of(field)
      other = fields[rule.when[0]] if rule.when else None
      if other is None or rule.holds(values.get(other.name, other.default)):
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
    """The values of the fields that have an effect, by name.

    Args:
      values: Values of some or all fields, by name. The other fields have their
        defaults; names that are no fields are ignored.
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
    """Makes options from values.

    Args:
      values: Values of some or all fields, by name. Fields that are missing, or
        have no effect, have their defaults; names that are no fields are
        ignored.

    Raises:
      ConfigError: If a value is wrong.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    arguments = cls.fitted(values)
    for name, value in arguments.items():
      if isinstance(default := defaults[name], Options):
        arguments[name] = type(default).from_values(value)
    return cls(**arguments)


def rule_of(field: dataclasses.Field) -> Rule:
  """The rule of a field made by `option`."""
  return field.metadata["rule"]


def check_value(path: str, value: Any, field: dataclasses.Field) -> None:
  """Checks the type and the range of a value.

  Args:
    path: The full name of the field, for the message.
    value: Value for the field.
    field: A field made by `option`.

  Raises:
    ConfigError: If the value is of another type than the default, not finite,
      outside of what the field's rule allows, or secret.
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
  """Raises ConfigError if a value has another type than the value `like`."""
  if isinstance(like, tuple) and isinstance(value, tuple):
    for element in value if like else ():
      _check_type(path, element, like[0])
    return
  wanted = (int, float) if isinstance(like, float) else type(like)
  # To Python, True and False are integers.
  mixed = isinstance(value, bool) and not isinstance(like, bool)
  if mixed or not isinstance(value, wanted):
    raise ConfigError(f"{path}={value!r} must have the type of {like!r}")


def _check_element(path: str, value: Any, element: Any, rule: Rule) -> None:
  """Raises ConfigError if an element of a value breaks a rule."""
  if rule.choices is not None:
    choose(path, element, tuple(rule.choices))
  if isinstance(element, str):
    redaction.refuse(path, element)
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
