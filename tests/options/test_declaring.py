"""Options: their types and ranges, and the fields that have an effect."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.errors import ConfigError
from hdc_jax.options import Options, option
from hdc_jax.options.declaring import Rule


@dataclasses.dataclass(frozen=True)
class Inner(Options, section="part.inner"):
  """A section within a section."""

  depth: int = option(1, "Depth.", at_least=1)


@dataclasses.dataclass(frozen=True)
class Part(Options, section="part"):
  """Options of every kind."""

  count: int = option(4, "Count.", at_least=2, at_most=8)
  rate: float = option(0.5, "Rate.", above=0, below=1)
  side: int = option(2, "Side.", multiple_of=2)
  kind: str = option("a", "Kind.", choices=("a", "b"))
  name: str = option("x", "Name.", required="name one")
  flag: bool = option(False, "Flag.")
  sizes: tuple[int, ...] = option(
    (1, 2, 3), "Sizes.", lengths=(0, 3), at_least=1
  )
  words: tuple[str, ...] = option((), "Words.", choices=("u", "v"))
  own: int = option(7, "Only of kind b.", at_least=0, when=("kind", ("b",)))
  inner: Inner = option(Inner(), "Inner.")

  def check(self):
    """Checks two fields together."""
    if self.count == 5 and self.kind == "b":
      raise ConfigError("config.part.count=5 goes with config.part.kind=a")


# Of which a field allows only some.
VALUES = (
  st.integers(-10, 10)
  | st.floats()
  | st.booleans()
  | st.sampled_from(["a", "b", "", None, (1,), [1, 2, 3]])
)

# Field → whether it may have a value.
ALLOWED = {
  "count": lambda v: type(v) is int and 2 <= v <= 8,
  "rate": lambda v: type(v) in (int, float) and 0 < v < 1,
  "side": lambda v: type(v) is int and v % 2 == 0,
  "kind": lambda v: v in ("a", "b"),
  "name": lambda v: isinstance(v, str) and v != "",
  "flag": lambda v: isinstance(v, bool),
}


@pytest.mark.parametrize("field", ALLOWED)
@settings(deadline=None)
@given(data=st.data())
def test_a_field_takes_what_its_rule_allows(field, data):
  value = data.draw(VALUES)
  if ALLOWED[field](value):
    assert getattr(Part(**{field: value}), field) == value
  else:
    with pytest.raises(ConfigError, match=rf"^config\.part\.{field}"):
      Part(**{field: value})


@settings(deadline=None)
@given(st.lists(st.integers(-1, 3), max_size=4).map(tuple))
def test_each_element_of_a_tuple_is_checked(sizes):
  if len(sizes) in (0, 3) and all(size >= 1 for size in sizes):
    assert Part(sizes=sizes).sizes == sizes
  else:
    with pytest.raises(ConfigError, match=r"^config\.part\.sizes="):
      Part(sizes=sizes)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"count": 1}, "config.part.count=1 must be at least 2"),
    ({"count": 9}, "config.part.count=9 must be at most 8"),
    ({"rate": 0.0}, "config.part.rate=0.0 must be above 0"),
    ({"rate": 1}, "config.part.rate=1 must be below 1"),
    ({"rate": float("nan")}, "config.part.rate=nan must be finite"),
    ({"side": 3}, "config.part.side=3 must be a multiple of 2"),
    ({"kind": "aa"}, "config.part.kind: 'aa' is not one of a, b; did you mean"),
    ({"name": ""}, "config.part.name is not set: name one"),
    ({"flag": 1}, "config.part.flag=1 must have the type of False"),
    ({"count": True}, "config.part.count=True must have the type of 4"),
    ({"count": 4.0}, "config.part.count=4.0 must have the type of 4"),
    ({"sizes": (1,)}, r"config.part.sizes=\(1,\) must have 0 or 3 elements"),
    (
      {"sizes": [1, 2, 3]},
      r"config.part.sizes=\[1, 2, 3\] must have the type of",
    ),
    ({"sizes": (1, 2, 0.5)}, "config.part.sizes=0.5 must have the type of 1"),
    ({"words": ("u", "w")}, "config.part.words: 'w' is not one of u, v"),
    ({"count": 5, "kind": "b"}, "config.part.count=5 goes with"),
  ],
)
def test_messages_name_the_field_and_the_rule(changes, message):
  with pytest.raises(ConfigError, match=f"^{message}"):
    Part(**changes)


def test_an_inner_section_has_its_own_name():
  with pytest.raises(ConfigError, match=r"^config\.part\.inner\.depth=0"):
    Inner(depth=0)


def test_only_active_fields_are_fitted():
  assert "own" not in Part.fitted({"own": 3})
  assert Part.fitted({"kind": "b", "own": 3})["own"] == 3
  assert Part.fitted({"kind": "b"})["own"] == 7


@settings(deadline=None)
@given(
  count=st.integers(6, 8),
  kind=st.sampled_from("ab"),
  own=st.integers(0, 5),
  depth=st.integers(1, 3),
)
def test_options_of_values(count, kind, own, depth):
  """Nested; what is no field, or has no effect, is left out."""
  given_values = {
    "count": count,
    "kind": kind,
    "own": own,
    "inner": {"depth": depth, "of an older version": 1},
    "of an older version": 2,
  }
  made = Part.from_values(given_values)
  assert (made.count, made.kind, made.inner) == (count, kind, Inner(depth))
  assert made.own == (own if kind == "b" else 7)
  assert Part.from_values(Part.fitted(given_values)) == made


def test_what_has_no_effect_is_not_checked():
  assert Part.from_values({"own": -1}).own == 7
  with pytest.raises(ConfigError, match=r"config\.part\.own=-1"):
    Part.from_values({"kind": "b", "own": -1})


def test_defaults_are_those_of_all_fields():
  defaults = Part.defaults()
  assert defaults["own"] == 7
  assert defaults["inner"] == {"depth": 1}
  assert Part.from_values(defaults) == Part()


def test_the_top_level_has_no_section():
  @dataclasses.dataclass(frozen=True)
  class Top(Options):
    seed: int = option(0, "Seed.", at_least=0)

  assert Top.parents() == ()
  with pytest.raises(ConfigError, match=r"^config\.seed=-1"):
    Top(seed=-1)


@pytest.mark.parametrize(
  ("value", "holds"),
  [(0, False), (1, True), (2**30, True), (1.5, False), ("5", False)],
)
def test_a_condition_of_numbers_is_told_at_once(value, holds):
  """Also of another type, which would take minutes to look for in a range."""
  rule = Rule("A field.", when=("every", range(1, 2**31)))
  assert rule.holds(value) == holds
