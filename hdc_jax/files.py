"""Files that are there whole or not at all."""

import json
from typing import Any

from etils import epath


def write(path: epath.PathLike, content: bytes) -> None:
  """Writes a file under another name, and renames it when it is whole.

  Args:
    path: Of the file, local or on object storage; its directory is made.
    content: All of it.
  """
  path = epath.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f".{path.name}.tmp")
  partial.write_bytes(content)
  partial.replace(path)


def write_json(path: epath.PathLike, value: Any) -> None:
  """Writes a value as JSON, see `write`."""
  write(path, (json.dumps(value, indent=1) + "\n").encode())
