"""The Python of the docs, for tests that run it."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_of(page, word=""):
  """The blocks of Python of a page that contain a word."""
  found = _PYTHON.findall((ROOT / page).read_text())
  return [block for block in found if word in block]
