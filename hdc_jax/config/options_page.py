"""The page docs/options.md: a table of all fields of configs.

It is generated from the options that components declare.
"""

import dataclasses
from collections.abc import Iterator

from hdc_jax.options.declaring import Options, Rule, rule_of
from hdc_jax.options.schema import Variant
from hdc_jax.tasks import TASKS

_INTRODUCTION = """\
# Fields of a config

Every field can be set on the command line, as in `--config.optim.lr=0.05`. A
config has the fields that have an effect on its task, method, backbone and
schedule, and no others; `--dry_run` prints them. Values are checked before
anything is computed. This page is what `python -m hdc_jax.config` prints.
"""


def markdown() -> str:
  """The page in Markdown, with a table for each section."""
  sections: dict[str, list[str]] = {}
  for row in _rows():
    sections.setdefault(row.section, []).append(
      f"| `{row.name}` | {row.default} | {row.help} | {row.where} |"
    )
  return "\n".join([_INTRODUCTION, *_tables(sections)])


def _tables(sections: dict[str, list[str]]) -> Iterator[str]:
  """Yields the lines of the tables, given the rows of each section."""
  for section in sorted(sections):
    yield f"## {section or 'Top level'}\n"
    yield "| field | default | meaning | used by |"
    yield "|---|---|---|---|"
    yield from sections[section]
    yield ""


@dataclasses.dataclass(frozen=True)
class _Row:
  """A row of a table: a field of a class of options.

  Attributes:
    section: Name of the section that has the field.
    name: Full name of the field: 'data.frames'.
    default: Default of the field, as text.
    help: Meaning of the field, and the values that it may have.
    where: Names of the tasks or variants that have the field.
  """

  section: str
  name: str
  default: str
  help: str
  where: str


def _rows() -> Iterator[_Row]:
  """Yields a row for each field, with the tasks or variants that have it."""
  owners: dict[type[Options], list[str]] = {}
  variants: dict[str, Variant] = {}
  for task in TASKS.values():
    variants |= task.schema.variants()
    for kind in task.schema.kinds().values():
      classes = kind.classes if isinstance(kind, Variant) else {task.name: kind}
      for name, cls in classes.items():
        owners.setdefault(cls, []).append(name)
  names = ", ".join(TASKS)
  yield _Row("", "task", "pretrain", f"Name of the task: {names}.", "all")
  for section, kind in variants.items():
    names = ", ".join(kind.classes)
    default = next(iter(kind.classes))
    field = f"{section}.name"
    yield _Row(
      section, field, default, f"Name of the {section}: {names}.", "all"
    )
  merged: dict[tuple[str, str, str], list[str]] = {}
  sections: dict[tuple[str, str, str], str] = {}
  for cls, users in owners.items():
    for section, key in _fields(cls):
      sections[key] = section
      merged.setdefault(key, []).extend(users)
  for key, users in merged.items():
    yield _Row(sections[key], *key, ", ".join(dict.fromkeys(users)))


def _fields(
  cls: type[Options],
) -> Iterator[tuple[str, tuple[str, str, str]]]:
  """Yields the section, and name, default and meaning, of a class's fields."""
  for field in dataclasses.fields(cls):
    if isinstance(field.default, Options):
      yield from _fields(type(field.default))
      continue
    section = cls.parents()[0] if cls.parents() else ""
    name = cls.full_name(field.name).removeprefix("config.")
    default = "empty" if field.default in ("", ()) else str(field.default)
    rule = rule_of(field)
    words = f"{rule.help.removesuffix('.')}{_allowed(rule)}."
    yield section, (name, default, words)


def _allowed(rule: Rule) -> str:
  """The values that a rule allows, in words; '' if it allows all."""
  ranges = [
    f"{words} {bound}"
    for words, bound in (
      ("at least", rule.at_least),
      ("above", rule.above),
      ("at most", rule.at_most),
      ("below", rule.below),
      ("a multiple of", rule.multiple_of),
    )
    if bound is not None
  ]
  if rule.when:
    ranges.append(f"only with {rule.condition()}")
  return f" ({', '.join(ranges)})" if ranges else ""
