"""Reads optimised HLO for TPU, with what the compiler estimates.

The compiler writes what it estimates an instruction to take into its
`backend_config`, as `estimated_cycles`: of a fusion as a whole, not of what is
fused. Copies between memories and collectives run besides and have none.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_BYTES = {"pred": 1, "bf16": 2, "c64": 8, "c128": 16}
_HEADER = re.compile(r"(ENTRY )?%?([\w.-]+) \(.*\{$")
_NAME = re.compile(r"\s+(?:ROOT )?%?([\w.-]+) = ")
_OPCODE = re.compile(r"\s*([a-z][\w-]*)\(")
_ARRAY = re.compile(r"\b([a-z]+\d*(?:e\d\w*)?)\[([\d,]*)\]")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_OP_NAME = re.compile(r'metadata=\{[^}]*?op_name="([^"]*)"')
_BODY = re.compile(r"\bbody=%?([\w.-]+)")
_CONDITION = re.compile(r"\bcondition=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONSTANT = re.compile(r"\bconstant\((\d+)\)")


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One instruction.

  Attributes:
    name: Unique in its module.
    opcode: Such as 'fusion'.
    shape: Of its result, as HLO writes it.
    cycles: Estimated; None if the compiler says nothing.
    op_name: Where it comes from, as JAX names it; '' if unknown.
    text: The whole line.
  """

  name: str
  opcode: str
  shape: str
  cycles: int | None
  op_name: str
  text: str


@dataclasses.dataclass(frozen=True)
class Executed:
  """An instruction as a step executes it.

  Attributes:
    instruction: Which.
    times: How often.
    fused: Whether it is part of another, whose cycles include its own.
  """

  instruction: Instruction
  times: int
  fused: bool


@dataclasses.dataclass(frozen=True)
class Module:
  """A parsed module.

  Attributes:
    computations: Instructions by the name of the computation.
    entry: The name of that which is run.
  """

  computations: Mapping[str, Sequence[Instruction]]
  entry: str

  def executed(self) -> Iterator[Executed]:
    """What a chip executes in one step, loops by their trip counts.

    Of a conditional's branches, the costliest counts.
    """
    return self._executed(self.entry, 1, fused=False)

  def _executed(
    self, computation: str, times: int, fused: bool
  ) -> Iterator[Executed]:
    for found in self.computations[computation]:
      yield Executed(found, times, fused)
      if body := _BODY.search(found.text):
        trips = self._trips(found)
        yield from self._executed(body[1], times * trips, fused)
      elif found.opcode == "conditional":
        names = [n.strip(" %") for n in _branches(found.text)]
        ways = [list(self._executed(name, times, fused)) for name in names]
        yield from max(ways, key=total_cycles)
      elif called := _called(found):
        within = fused or found.cycles is not None
        yield from self._executed(called, times, within)

  def _trips(self, loop: Instruction) -> int:
    """How often a loop runs: as the compiler says, or its only constant."""
    if known := _TRIPS.search(loop.text):
      return int(known[1])
    condition = _CONDITION.search(loop.text)
    lines = self.computations[condition[1]] if condition else ()
    limits = {int(n) for i in lines for n in _CONSTANT.findall(i.text)}
    return max(limits, default=1)


def _called(instruction: Instruction) -> str:
  """The computation of a fusion or a call; a reduction's is not one."""
  word = "to_apply" if instruction.opcode == "call" else "calls"
  found = re.search(rf"\b{word}=%?([\w.-]+)", instruction.text)
  return found[1] if found else ""


def _branches(text: str) -> list[str]:
  if listed := re.search(r"branch_computations=\{([^}]*)\}", text):
    return listed[1].split(",")
  return re.findall(r"(?:true|false)_computation=([^\s,]+)", text)


def total_cycles(executed: Iterable[Executed]) -> int:
  """Estimated cycles, what is fused not counted twice."""
  return sum(
    e.times * e.instruction.cycles
    for e in executed
    if e.instruction.cycles and not e.fused
  )


def parse(text: str) -> Module:
  """The module that an executable's `as_text` writes.

  Raises:
    ValueError: If there is no entry computation in it.
  """
  computations: dict[str, list[Instruction]] = {}
  entry = ""
  into: list[Instruction] = []
  for line in text.splitlines():
    header = _HEADER.match(line)
    if header:
      into = computations.setdefault(header[2], [])
      entry = header[2] if header[1] else entry
    elif name := _NAME.match(line):
      into.append(_instruction(name[1], line, name.end()))
  if not entry:
    raise ValueError("no entry computation in the HLO")
  return Module(computations, entry)


def _instruction(name: str, line: str, start: int) -> Instruction:
  end = _shape_end(line, start)
  opcode = _OPCODE.match(line, end)
  estimate = _CYCLES.search(line, end)
  op_name = _OP_NAME.search(line, end)
  return Instruction(
    name=name,
    opcode=opcode[1] if opcode else "",
    shape=line[start:end],
    cycles=int(estimate[1]) if estimate else None,
    op_name=op_name[1] if op_name else "",
    text=line,
  )


def _shape_end(line: str, start: int) -> int:
  """Where a shape ends: a tuple's has parentheses within parentheses."""
  depth = 0
  for i in range(start, len(line)):
    depth += (line[i] == "(") - (line[i] == ")")
    if line[i] == " " and not depth:
      return i
  return len(line)


def shape_bytes(shape: str) -> int:
  """Bytes of an array or of a tuple's arrays, without any padding."""
  return sum(
    math.ceil(math.prod(sizes) * _item_bytes(dtype))
    for dtype, sizes in _arrays(shape)
  )


def dtypes(shape: str) -> set[str]:
  """Of an array or of a tuple's arrays, as HLO calls them."""
  return {dtype for dtype, _ in _arrays(shape)}


def _arrays(shape: str) -> list[tuple[str, list[int]]]:
  plain = re.sub(r"/\*.*?\*/|\{[^}]*\}", "", shape)
  return [
    (dtype, [int(size) for size in sizes.split(",") if size])
    for dtype, sizes in _ARRAY.findall(plain)
  ]


def _item_bytes(dtype: str) -> float:
  bits = re.match(r"[a-z]+(\d+)", dtype)
  return _BYTES.get(dtype) or (int(bits[1]) / 8 if bits else 0)
