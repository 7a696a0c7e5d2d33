"""Schemas: the fields of a task's configs, and the options made from a config.

A task lists its options as fields of a frozen dataclass. Some options have
several classes, such as one for each backbone. A config names one of them, and
has its fields:

>>> from typing import Annotated
>>> from hdc_jax.options import Options, Schema, Variant, option
>>> @dataclasses.dataclass(frozen=True)
... class Backbone(Options, section="model"):
...   width: int = option(64, "Channels of the first convolution.", at_least=1)
>>> @dataclasses.dataclass(frozen=True)
... class C3D(Backbone):
...   pass
>>> @dataclasses.dataclass(frozen=True)
... class R3D(Backbone):
...   shortcut: str = option("A", "How shapes are matched.", choices=("A", "B"))
>>> @dataclasses.dataclass(frozen=True)
... class Training:
...   model: Annotated[Backbone, Variant("model", {"c3d": C3D, "r3d": R3D})]
>>> schema = Schema(Training)
>>> schema.defaults({"model": "c3d"})
{'model': {'name': 'c3d', 'width': 64}}
>>> schema.build({"model": {"name": "r3d", "width": 8, "shortcut": "B"}})
Training(model=R3D(width=8, shortcut='B'))
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from hdc_jax.errors import ConfigError, choose
from hdc_jax.options.declaring import Options, rule_of

Tree = dict[str, Any]
# The names that lead to a field: ('data', 'frames').
Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Variant:
  """Options with several classes, among which a config chooses by name.

  It annotates a field of a task's options.

  Attributes:
    section: The section whose field `name` names the class: 'model' for
      `config.model.name`.
    classes: The classes of options by name; the first is the default.
  """

  section: str
  classes: Mapping[str, type[Options]]


class Schema:
  """The fields that the configs of a task have."""

  def __init__(
    self, options: type, configs: Mapping[str, "Schema"] | None = None
  ) -> None:
    """Reads the fields of a task's options.

    Args:
      options: A frozen dataclass, each of whose fields has a class of options
        as its type, annotated by a `Variant` where there are several.
      configs: Schemas of other tasks, by section. Such a section holds a whole
        config of that task.
    """
    self._options = options
    self._configs = configs or {}
    hints = typing.get_type_hints(options, include_extras=True)
    self._classes: dict[str, type[Options] | Variant] = {
      field.name: _kind(hints[field.name])
      for field in dataclasses.fields(options)
    }

  def defaults(self, names: Mapping[str, str] | None = None) -> Tree:
    """The defaults of all fields, by section.

    Args:
      names: Name of the chosen class by section; the first class by default.
    """
    chosen = {section: {"name": n} for section, n in (names or {}).items()}
    return self.fit(chosen)

  def fit(self, values: Mapping[str, Any]) -> Tree:
    """The values of the fields that a config has, by section.

    Args:
      values: Values of some or all fields, by section. Other fields have their
        defaults; values of fields that the config does not have are ignored.

    Raises:
      ConfigError: If a section names an unknown class.
    """
    fitted: Tree = {k: values[k] for k in ("task",) if k in values}
    for section, name in self._names(values).items():
      fitted.setdefault(section, {})["name"] = name
    for cls in self.classes(values).values():
      place = fitted.setdefault(cls.section, {}) if cls.section else fitted
      place.update(cls.fitted(section_of(values, cls.section)))
    for name, schema in self._configs.items():
      fitted[name] = schema.fit(values.get(name, {}))
    return fitted

  def fit_saved(self, values: Mapping[str, Any]) -> Tree:
    """The values of the fields of a saved config, see `fit`.

    Fields that the version that saved it did not have are as that version
    behaved, which may differ from today's defaults.

    Args:
      values: Values by section.
    """
    saved = {".".join(path): value for path, value in leaves(values)}
    return self.fit(nest(self.before() | saved))

  def build(self, values: Mapping[str, Any]) -> Any:
    """Makes the options of a task, and checks them.

    Args:
      values: Values by section.

    Returns:
      An object of the task's dataclass.

    Raises:
      ConfigError: If a value is wrong; or if a field that the config does not
        have is set to another value than its default.
    """
    known = self.known()
    for path, value in leaves(values):
      if value not in known.get(path, ()):
        self.check_field(path, values)
    return self._options(
      **{
        name: cls.from_values(section_of(values, cls.section))
        for name, cls in self.classes(values).items()
      }
    )

  def known(self) -> dict[Path, list[Any]]:
    """The defaults of all fields that any class has, by path."""
    known: dict[Path, list[Any]] = {("task",): []}
    known |= {(section, "name"): [] for section in self.variants()}
    for cls in self._every_class():
      for path, default in leaves(cls.defaults()):
        known.setdefault((*cls.parents(), *path), []).append(default)
    for name, schema in self._configs.items():
      known |= {
        (name, *path): values for path, values in schema.known().items()
      }
    return known

  def selectors(self) -> set[Path]:
    """The paths of the fields that decide which other fields a config has."""
    selectors: set[Path] = {(section, "name") for section in self.variants()}
    for cls in self._every_class():
      rules = map(rule_of, dataclasses.fields(cls))
      selectors |= {
        (*cls.parents(), rule.when[0]) for rule in rules if rule.when
      }
    for name, schema in self._configs.items():
      selectors |= {(name, *path) for path in schema.selectors()}
    return selectors

  def before(self) -> dict[str, Any]:
    """The values of `Rule.before`, by dotted name of the field."""
    before = {
      ".".join((*cls.parents(), field.name)): rule_of(field).before
      for cls in self._every_class()
      for field in dataclasses.fields(cls)
      if rule_of(field).before is not None
    }
    for name, schema in self._configs.items():
      before |= {f"{name}.{field}": v for field, v in schema.before().items()}
    return before

  def _every_class(self) -> Iterator[type[Options]]:
    """Yields all classes of options, of all variants."""
    for kind in self._classes.values():
      yield from kind.classes.values() if isinstance(kind, Variant) else (kind,)

  def classes(self, values: Mapping[str, Any]) -> dict[str, type[Options]]:
    """The class of each of the task's options, by name.

    Args:
      values: Values by section.

    Raises:
      ConfigError: If a section names an unknown class.
    """
    names = self._names(values)
    return {
      name: cls.classes[names[cls.section]] if isinstance(cls, Variant) else cls
      for name, cls in self._classes.items()
    }

  def kinds(self) -> dict[str, type[Options] | Variant]:
    """The class of each of the task's options, or a `Variant` of several."""
    return dict(self._classes)

  def variants(self) -> dict[str, Variant]:
    """The variants, by the section whose field `name` names the class."""
    kinds = [cls for cls in self._classes.values() if isinstance(cls, Variant)]
    return {kind.section: kind for kind in reversed(kinds)}

  def check_field(
    self, path: Path, values: Mapping[str, Any], prefix: Path = ("config",)
  ) -> None:
    """Checks that a config has a field, given the classes that it names.

    Args:
      path: The names that lead to the field.
      values: Values by section.
      prefix: The names that lead to the config, for the message.

    Raises:
      ConfigError: If there is no such field, or if it has no effect; the
        message lists the fields of the section.
    """
    if path[0] in self._configs and path[1:]:
      name, inner = path[0], values[path[0]]
      self._configs[name].check_field(path[1:], inner, (*prefix, name))
      return
    fitted: Any = self.fit(values)
    for depth, name in enumerate(path):
      where = ".".join((*prefix, *path[:depth]))
      if not isinstance(fitted, Mapping):
        raise ConfigError(f"{where} is a value, it has no field {name!r}")
      if name not in fitted:
        self._check_effect(where, name, path[:depth], values)
        decisive = self._decisive(path[:depth], values)
        choose(f"{where} (of {decisive})" if decisive else where, name, fitted)
      fitted = fitted[name]

  def _check_effect(
    self, where: str, name: str, section: Path, values: Mapping[str, Any]
  ) -> None:
    """Raises ConfigError if a field exists, but has no effect."""
    for cls in self.classes(values).values():
      for field in dataclasses.fields(cls):
        when = rule_of(field).when
        if cls.parents() == section and field.name == name and when:
          chosen = section_of(values, cls.section).get(when[0])
          raise ConfigError(
            f"{where}.{name} has an effect only with "
            f"{rule_of(field).condition(f'{where}.')}, which is {chosen!r} "
            "here: leave it out"
          )

  def _decisive(self, section: Path, values: Mapping[str, Any]) -> str:
    """Name of the task or class that decides a section's fields, or ''."""
    if not section:
      return f"task {values['task']}" if "task" in values else ""
    names = self._names(values)
    for attribute, cls in self.classes(values).items():
      kind = self._classes[attribute]
      if isinstance(kind, Variant) and cls.parents() == section[:1]:
        return names[kind.section]
    return ""

  def _names(self, values: Mapping[str, Any]) -> dict[str, str]:
    """The name of the class that each section with a `Variant` chooses."""
    names = {}
    for section, kind in self.variants().items():
      name = section_of(values, section).get("name", next(iter(kind.classes)))
      choose(f"config.{section}.name", name, kind.classes)
      names[section] = name
    return names


def _kind(hint: Any) -> type[Options] | Variant:
  """The class of options, or the variant, in a type hint."""
  for extra in getattr(hint, "__metadata__", ()):
    if isinstance(extra, Variant):
      return extra
  return hint


def section_of(values: Mapping[str, Any], section: str) -> Mapping[str, Any]:
  """The values of a section.

  Args:
    values: Values by section.
    section: Name of the section; '' for the top level.
  """
  return values.get(section, {}) if section else values


def leaves(
  values: Mapping[str, Any], prefix: Path = ()
) -> Iterator[tuple[Path, Any]]:
  """Yields the path and the value of every field.

  Args:
    values: Values by section.
    prefix: Beginning of the paths.
  """
  for name, value in values.items():
    if isinstance(value, Mapping):
      yield from leaves(value, (*prefix, name))
    else:
      yield (*prefix, name), value


def nest(flat: Mapping[str, Any]) -> Tree:
  """Groups values by section.

  Args:
    flat: Values by dotted name.

  >>> nest({"seed": 1, "data.frames": 8, "data.stride": 2})
  {'seed': 1, 'data': {'frames': 8, 'stride': 2}}
  """
  nested: Tree = {}
  for dotted, value in flat.items():
    *sections, name = dotted.split(".")
    place = nested
    for section in sections:
      place = place.setdefault(section, {})
    place[name] = value
  return nested
