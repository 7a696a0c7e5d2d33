"""Checks what was read from JSON or msgpack, before anything relies on it.

A kind says as data what a value should be:

| kind | value |
|---|---|
| `str`, `bytes`, `int` | one of this type; True and False are no int |
| `float` | a float or an int |
| `[kind]` | a list of any length |
| `(kind, kind)` | a list of this length |
| `{str: kind}` | a map with any keys, which are texts |
| `None` | anything |
"""

from collections.abc import Mapping
from typing import Any


def fits(value: Any, kind: Any) -> bool:
  """Whether a value is of a kind.

  Args:
    value: What was read.
    kind: What it should be, see above.

  Example:
    >>> fits({"class": [[0, 3], [24, 1]]}, {str: [(int, int)]})
    True
    >>> fits({"class": [[0, 3, 1]]}, {str: [(int, int)]})
    False
  """
  match kind:
    case None:
      return True
    case list():
      return isinstance(value, list) and all(fits(v, kind[0]) for v in value)
    case tuple():
      return (
        isinstance(value, list)
        and len(value) == len(kind)
        and all(map(fits, value, kind))
      )
    case dict():
      return isinstance(value, dict) and all(
        isinstance(key, str) and fits(v, kind[str]) for key, v in value.items()
      )
  allowed = (int, float) if kind is float else kind
  return isinstance(value, allowed) and not isinstance(value, bool)


def misfit(
  fields: Any, required: Mapping[str, Any], optional: Mapping[str, Any]
) -> str:
  """Says which field of a map is missing, unknown or of another kind.

  Args:
    fields: The map that was read; it may be anything.
    required: Kinds of the fields that it must have, by name.
    optional: Kinds of those that it may have besides, by name.

  Returns:
    The first of its faults; '' if there is none.

  Example:
    >>> misfit({"id": 3}, {"id": str}, {})
    "the field 'id' is malformed"
  """
  if not isinstance(fields, dict):
    return f"it is a {type(fields).__name__} instead of a map"
  for name in required:
    if name not in fields:
      return f"the field {name!r} is missing"
  kinds = {**required, **optional}
  for name, value in fields.items():
    if name not in kinds:
      return f"the field {str(name)[:40]!r} is unknown"
    if not fits(value, kinds[name]):
      return f"the field {name!r} is malformed"
  return ""
