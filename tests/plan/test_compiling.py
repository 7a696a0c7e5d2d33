"""What the compiler says is kept; what it cannot do is told apart."""

import importlib.metadata
import pathlib
import types

import jax
import pytest

from hdc_jax.plan import compiling

HLO = (pathlib.Path(__file__).parent / "loop.hlo").read_text()

# As libtpu 0.0.42 says it; libtpu 0.0.50 puts a code first.
HBM = (
  "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for "
  "HLO temporaries (512.00G) exceeds available HBM (15.75G)."
)
CODED_HBM = HBM.replace(": ", ": E1000: CompileTimeHbmOom: ", 1)


class Lowered:
  """A program of two megabytes of arguments, half of which are donated."""

  def __init__(self, text="program", error=None):
    self.text, self.error, self.compiled = text, error, 0

  def as_text(self):
    return self.text

  def compile(self):
    self.compiled += 1
    if self.error:
      raise jax.errors.JaxRuntimeError(self.error)
    memory = types.SimpleNamespace(
      argument_size_in_bytes=2 << 20,
      output_size_in_bytes=1 << 20,
      alias_size_in_bytes=1 << 20,
      temp_size_in_bytes=5 << 20,
      generated_code_size_in_bytes=1 << 10,
    )
    return types.SimpleNamespace(
      memory_analysis=lambda: memory, as_text=lambda: HLO
    )


@pytest.fixture(autouse=True)
def versions(monkeypatch):
  """Of packages, by name; libtpu need not be there."""
  found = {"jax": "1", "jaxlib": "1", "libtpu": "1"}
  monkeypatch.setattr(importlib.metadata, "version", found.__getitem__)
  return found


def step(lowered, name="v5e:2x2"):
  made = object.__new__(compiling.Step)
  made.name, made.device = name, "4 × TPU"
  made.lowered, made.options = lowered, ()
  return made


def test_facts(tmp_path):
  facts = step(Lowered()).facts(tmp_path)
  assert facts["hbm_bytes"] == {
    "argument": 2 << 20,
    "output": 0,
    "temporary": 5 << 20,
    "code": 1 << 10,
    "total": (7 << 20) + (1 << 10),
  }
  assert facts["estimated_cycles"] == 44506  # see test_hlo
  assert facts["device"] == "4 × TPU"


def test_a_program_is_compiled_once(tmp_path, versions):
  first, second = Lowered(), Lowered()
  new = step(first).facts(tmp_path)
  kept = step(second).facts(tmp_path)
  assert (first.compiled, second.compiled) == (1, 0)
  assert (new.pop("cached"), kept.pop("cached")) == (False, True)
  assert kept == new
  # But again for another slice, program or compiler.
  assert not step(Lowered(), "v5e:2x4").facts(tmp_path)["cached"]
  assert not step(Lowered("another")).facts(tmp_path)["cached"]
  versions["libtpu"] = "2"
  assert not step(Lowered()).facts(tmp_path)["cached"]


@pytest.mark.parametrize("error", [HBM, CODED_HBM])
def test_too_little_memory_is_kept_too(tmp_path, error):
  facts = step(Lowered(error=error)).facts(tmp_path)
  assert facts["out_of_memory"] == HBM.removeprefix("RESOURCE_EXHAUSTED: ")
  assert "estimated_cycles" not in facts
  again = Lowered()
  assert "out_of_memory" in step(again).facts(tmp_path)
  assert not again.compiled


@pytest.mark.parametrize(
  "error",
  ["INTERNAL: a bug", "RESOURCE_EXHAUSTED: Ran out of memory in vmem"],
)
def test_other_errors_are_not_about_the_batch(tmp_path, error):
  with pytest.raises(jax.errors.JaxRuntimeError, match=error):
    step(Lowered(error=error)).facts(tmp_path)
  assert not list(tmp_path.iterdir())
