"""Parses optimised HLO for TPU, with the compiler's estimates of cycles.

The compiler writes the estimated cycles of an instruction into its
`backend_config`, as `estimated_cycles`. A fusion has one estimate for the
whole, and the fused instructions have none. Copies between memories and
collectives run concurrently with computations, and have no estimate.
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
  """One HLO instruction.

  Attributes:
    name: Name of the instruction, unique in its module.
    opcode: Operation, such as 'fusion'.
    shape: Shape of the result as HLO writes it, such as 'f32[8,128]{1,0}'.
    cycles: Estimated cycles; None if the compiler gives no estimate.
    op_name: JAX's name of the operation that it comes from; '' if unknown.
    text: The line of HLO that it is parsed from.
  """

  name: str
  opcode: str
  shape: str
  cycles: int | None
  op_name: str
  text: str


@dataclasses.dataclass(frozen=True)
class Executed:
  """An instruction, with how often a step executes it.

  Attributes:
    instruction: The instruction.
    times: Number of executions in one step.
    fused: Whether it is part of another instruction, whose estimated cycles
      include its own.
  """

  instruction: Instruction
  times: int
  fused: bool


@dataclasses.dataclass(frozen=True)
class Module:
  """A parsed HLO module.

  Attributes:
    computations: Instructions of each computation, by its name.
    entry: Name of the computation that is run.
  """

  computations: Mapping[str, Sequence[Instruction]]
  entry: str

  def executed(self) -> Iterator[Executed]:
    """Lists the instructions that a chip executes in one step.

    The body of a loop counts as often as it is run. Of the branches of a
    conditional only the costliest counts.
    """
    return self._executed(self.entry, 1, fused=False)

  def _executed(
    self, computation: str, times: int, fused: bool
  ) -> Iterator[Executed]:
    """Lists the instructions of a computation that is executed `times` times.

    Args:
      computation: Name of the computation.
      times: Number of executions in one step.
      fused: Whether the computation is part of an instruction with an estimate.
    """
    for instruction in self.computations[computation]:
      yield Executed(instruction, times, fused)
      if body := _BODY.search(instruction.text):
        trips = self._trip_count(instruction)
        yield from self._executed(body[1], times * trips, fused)
      elif instruction.opcode == "conditional":
        names = [n.strip(" %") for n in _branches(instruction.text)]
        branches = [list(self._executed(n, times, fused)) for n in names]
        yield from max(branches, key=total_cycles)
      elif called := _called(instruction):
        within = fused or instruction.cycles is not None
        yield from self._executed(called, times, within)

  def _trip_count(self, loop: Instruction) -> int:
    """How often the body of a loop is run.

    That is the compiler's `known_trip_count`, or else the largest constant in
    the loop's condition, or else 1.
    """
    if known := _TRIPS.search(loop.text):
      return int(known[1])
    condition = _CONDITION.search(loop.text)
    lines = self.computations[condition[1]] if condition else ()
    limits = {int(n) for i in lines for n in _CONSTANT.findall(i.text)}
    return max(limits, default=1)


def _called(instruction: Instruction) -> str:
  """The name of the computation that a fusion or a call runs, else ''.

  The computation that a reduction applies to pairs of elements does not count.
  """
  attribute = "to_apply" if instruction.opcode == "call" else "calls"
  match = re.search(rf"\b{attribute}=%?([\w.-]+)", instruction.text)
  return match[1] if match else ""


def _branches(text: str) -> list[str]:
  """The names of the computations that a conditional chooses from."""
  if listed := re.search(r"branch_computations=\{([^}]*)\}", text):
    return listed[1].split(",")
  return re.findall(r"(?:true|false)_computation=([^\s,]+)", text)


def total_cycles(executed: Iterable[Executed]) -> int:
  """The sum of estimated cycles, without the parts of fusions.

  Args:
    executed: Instructions with the number of their executions.

  Returns:
    Cycles per step.
  """
  return sum(
    e.times * e.instruction.cycles
    for e in executed
    if e.instruction.cycles and not e.fused
  )


def parse(text: str) -> Module:
  """Parses the HLO of a compiled executable.

  Args:
    text: What `jax.stages.Compiled.as_text` returns.

  Returns:
    The module.

  Raises:
    ValueError: If the text has no entry computation.

  Example:
    >>> module = parse('''
    ... ENTRY %main (x: f32[8]) -> f32[8] {
    ...   %x = f32[8]{0} parameter(0)
    ...   ROOT %twice = f32[8]{0} add(%x, %x)
    ... }
    ... ''')
    >>> [e.instruction.opcode for e in module.executed()]
    ['parameter', 'add']
  """
  computations: dict[str, list[Instruction]] = {}
  entry = ""
  instructions: list[Instruction] = []
  for line in text.splitlines():
    header = _HEADER.match(line)
    if header:
      instructions = computations.setdefault(header[2], [])
      entry = header[2] if header[1] else entry
    elif name := _NAME.match(line):
      instructions.append(_instruction(name[1], line, name.end()))
  if not entry:
    raise ValueError("no entry computation in the HLO")
  return Module(computations, entry)


def _instruction(name: str, line: str, start: int) -> Instruction:
  """Parses a line of HLO, from where the shape of the result starts."""
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
  """The position after a shape; that of a tuple has nested parentheses."""
  depth = 0
  for i in range(start, len(line)):
    depth += (line[i] == "(") - (line[i] == ")")
    if line[i] == " " and not depth:
      return i
  return len(line)


def shape_bytes(shape: str) -> int:
  """The size of an array, or of all arrays of a tuple, without padding.

  Args:
    shape: Shape as HLO writes it.

  Returns:
    Bytes.

  Example:
    >>> shape_bytes("(f32[8,128]{1,0}, bf16[4])")
    4104
  """
  return sum(
    math.ceil(math.prod(sizes) * _item_bytes(dtype))
    for dtype, sizes in _arrays(shape)
  )


def dtypes(shape: str) -> set[str]:
  """The dtypes of an array, or of all arrays of a tuple, as HLO names them.

  Args:
    shape: Shape as HLO writes it.

  Example:
    >>> sorted(dtypes("(f32[8,128]{1,0}, bf16[4])"))
    ['bf16', 'f32']
  """
  return {dtype for dtype, _ in _arrays(shape)}


def _arrays(shape: str) -> list[tuple[str, list[int]]]:
  """Dtype and sizes of each array in a shape."""
  plain = re.sub(r"/\*.*?\*/|\{[^}]*\}", "", shape)
  return [
    (dtype, [int(size) for size in sizes.split(",") if size])
    for dtype, sizes in _ARRAY.findall(plain)
  ]


def _item_bytes(dtype: str) -> float:
  """Bytes of one element; less than 1 for dtypes of fewer than 8 bits."""
  bits = re.match(r"[a-z]+(\d+)", dtype)
  return _BYTES.get(dtype) or (int(bits[1]) / 8 if bits else 0)
