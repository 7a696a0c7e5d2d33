"""Damages valid input, and checks how the reading of it ends."""

import contextlib
import copy
import os
import resource
import time

import hypothesis
from hypothesis import strategies as st

from hdc_jax.errors import HdcError

# Cases of each parser: few in `make test`, many in `make test-slow`.
CASES = int(os.environ.get("HDC_JAX_FUZZ_CASES", "40"))
_SECONDS = 5.0  # for one case, with room for a machine that is busy
_MEMORY = 1 << 30  # bytes that reading may take more than the process has

# Values in place of a field: wrong types, and numbers at which code overflows.
_JUNK = [
  None,
  True,
  "",
  "\0",
  "../../x",
  "ü" * 300,
  b"",
  b"\xff" * 9,
  [],
  [[]],
  [[0, 0, 0]],
  [[5, -1]],
  {},
  {"": {}},
  0,
  1,
  -1,
  2,
  7,
  1 << 31,
  1 << 40,
  (1 << 63) - 1,
  -(1 << 63),
  0.0,
  -0.5,
  1e-308,
  1e308,
  float("nan"),
  float("inf"),
]

_EDITS = st.lists(
  st.tuples(
    st.sampled_from(["flip", "cut", "splice", "insert", "long", "repeat"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
  ),
  min_size=1,
  max_size=4,
)


def damaged(data):
  """Strategy of bytes: `data` after one to four random edits."""
  return _EDITS.map(lambda edits: _edit(data, edits))


def _edit(data, edits):
  for kind, place, value in edits:
    i = int(place * len(data))
    match kind:
      case "flip":
        data = (
          data[:i] + bytes([data[i] ^ (value or 1)]) + data[i + 1 :]
          if (data)
          else bytes([value])
        )
      case "cut":
        data = data[:i]
      case "splice":
        data = data[:i] + data[i + value :]
      case "insert":
        data = data[:i] + bytes([value]) * (value % 9) + data[i:]
      case "long":  # the largest lengths, of every width
        width = 1 << value % 4
        data = data[:i] + b"\xff" * width + data[i + width :]
      case "repeat":
        data = data[:i] + data[i : i + 16] * value + data[i:]
  return data


def junk_in(tree):
  """Strategy of trees of lists and maps: `tree` with one to three junk values.

  Values are replaced, taken out, or repeated, at any depth.
  """
  edit = st.tuples(
    st.integers(0, 1 << 30),
    st.sampled_from(["junk", "junk", "delete", "repeat"]),
    st.sampled_from(_JUNK),
  )
  return st.lists(edit, min_size=1, max_size=3).map(
    lambda edits: _put_junk(copy.deepcopy(tree), edits)
  )


def _put_junk(tree, edits):
  for number, kind, junk in edits:
    places = list(_places(tree))
    if not places:
      return tree
    parent, key = places[number % len(places)]
    if kind == "delete":
      del parent[key]
    elif kind == "repeat" and isinstance(parent, list):
      parent += [parent[key]] * 9
    else:
      parent[key] = copy.deepcopy(junk)
  return tree


def _places(tree):
  """Every parent and key in a tree."""
  items = (
    list(tree.items())
    if isinstance(tree, dict)
    else list(enumerate(tree))
    if isinstance(tree, list)
    else []
  )
  for key, value in items:
    yield tree, key
    yield from _places(value)


def fuzz(strategy):
  """Decorates a test of one argument, which is drawn from a strategy."""

  def decorate(function):
    settings = hypothesis.settings(
      max_examples=CASES,
      deadline=None,
      derandomize=True,
      database=None,
      suppress_health_check=list(hypothesis.HealthCheck),
    )
    return settings(hypothesis.given(strategy)(function))

  return decorate


@contextlib.contextmanager
def package_errors():
  """Lets errors of the package pass, within bounded time and memory."""
  with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, hard))
  start = time.process_time()
  try:
    with contextlib.suppress(HdcError):
      yield
  finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
  assert time.process_time() - start < _SECONDS
