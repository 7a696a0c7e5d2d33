"""What a step costs, and what it exchanges between chips, by module."""

import collections
import re
from collections.abc import Iterable
from typing import Any

from hdc_jax.plan import hlo
from hdc_jax.plan.hlo import Executed, Instruction

COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "all-to-all",
  "collective-permute",
  "reduce-scatter",
)

# Opcodes that take no time of their own.
_STRUCTURAL = (
  "bitcast",
  "call",
  "conditional",
  "constant",
  "get-tuple-element",
  "parameter",
  "tuple",
  "while",
)

# Results of fewer bytes are not worth telling.
_LARGE = 64 << 20

_CHANNEL = re.compile(r"\bchannel_id=(\d+)")
_WRAPPED = re.compile(r"(?:jvp|transpose|vmap)\((.*)\)")
_MODULE = re.compile(r"[A-Za-z]\w*")
_STRUCTURE = re.compile(r"cond|while|body|branch_\d+_fun")


def by_module(executed: Iterable[Executed]) -> list[dict[str, Any]]:
  """Cycles by module and pass, the costliest first.

  Returns:
    'name', 'backward', 'cycles' of each.
  """
  found: collections.Counter[tuple[str, bool]] = collections.Counter()
  for e in executed:
    if e.instruction.cycles and not e.fused:
      place = module_path(e.instruction.op_name)
      found[place] += e.times * e.instruction.cycles
  return [
    {"name": name, "backward": backward, "cycles": cycles}
    for (name, backward), cycles in found.most_common()
  ]


def uncounted(executed: Iterable[Executed]) -> list[dict[str, Any]]:
  """What makes large results and has no estimate, the largest first.

  Returns:
    'name' of the module, 'backward', 'opcode' and 'bytes' of the results.
  """
  found: collections.Counter[tuple[str, bool, str]] = collections.Counter()
  for e in executed:
    i = e.instruction
    if e.fused or i.cycles is not None or not _computes(i):
      continue
    place = (*module_path(i.op_name), i.opcode)
    found[place] += e.times * hlo.shape_bytes(i.shape)
  return [
    {"name": name, "backward": backward, "opcode": opcode, "bytes": size}
    for (name, backward, opcode), size in found.most_common()
    if size >= _LARGE
  ]


def _computes(instruction: Instruction) -> bool:
  """Whether an instruction is not structure, nor runs beside others."""
  opcode = instruction.opcode
  return not (
    opcode in _STRUCTURAL
    or opcode.endswith(("-start", "-done"))
    or collective_kind(instruction)
    or "ConcatBitcast" in instruction.text
  )


def exchanges(executed: Iterable[Executed]) -> list[dict[str, Any]]:
  """What exchanges data between chips.

  Returns:
    'kind', 'opcode' (which differs from it as `collective_kind` says), 'name'
    of the module, 'dtype' of the results, 'times', and 'bytes' that each chip
    has of all of them.
  """
  found = []
  for e in collectives(executed):
    name, _ = module_path(e.instruction.op_name)
    size = e.times * hlo.shape_bytes(e.instruction.shape)
    kind = collective_kind(e.instruction)
    dtype = ", ".join(sorted(hlo.dtypes(e.instruction.shape)))
    found.append(
      {
        "kind": kind,
        "opcode": e.instruction.opcode.removesuffix("-done"),
        "name": name,
        "dtype": dtype,
        "times": e.times,
        "bytes": size,
      }
    )
  return sorted(found, key=lambda exchange: -exchange["bytes"])


def module_path(op_name: str) -> tuple[str, bool]:
  """Where in the step an instruction comes from.

  Args:
    op_name: As JAX names it, such as
      'jit(train_step)/update/transpose(jvp(Network))/backbone/block3_0/add'.

  Returns:
    The module in the network, such as 'backbone/block3_0', or else the named
    scope, 'update' or 'update/loss', or 'augment' outside of that; '' if the
    compiler does not say. And whether it is of the backward pass.
  """
  kept = []
  for part in _split(op_name)[:-1]:
    while wrapped := _WRAPPED.fullmatch(part):
      part = wrapped[1]
    if _MODULE.fullmatch(part) and not _STRUCTURE.fullmatch(part):
      kept.append(part)
  if "Network" in kept:
    kept = kept[kept.index("Network") + 1 :] or ["pooling"]
  elif op_name and "update" not in kept:
    kept = ["augment"]
  return "/".join(kept), "transpose(" in op_name


def _split(op_name: str) -> list[str]:
  """At the slashes that are not within parentheses."""
  parts, depth = [""], 0
  for letter in op_name:
    depth += (letter == "(") - (letter == ")")
    if letter == "/" and not depth:
      parts.append("")
    else:
      parts[-1] += letter
  return parts


def collectives(executed: Iterable[Executed]) -> list[Executed]:
  """What exchanges data between chips, each exchange once.

  One that runs besides computations stands in a start and a done, or in a chain
  of fusions, all of one channel.
  """
  found = {}
  for e in executed:
    kind = collective_kind(e.instruction)
    if kind:
      channel = _CHANNEL.search(e.instruction.text)
      found[channel[1] if channel else e.instruction.name] = e
  return list(found.values())


def collective_kind(instruction: Instruction) -> str:
  """Which of `COLLECTIVES` an instruction ends, '' if none.

  Of a start and a done it is the done, whose shape is that of the result alone.
  Many chips gather by a sum of zeros into which each has put what it has: that
  is an 'all-gather' here. One operand tells, as others can have been moved
  before, and are called after that.
  """
  kind = instruction.opcode.removesuffix("-done")
  if kind == "all-reduce":
    given = re.search(r" all-reduce\(([^)]*)\)", instruction.text)
    if given and "update-slice" in given[1]:
      return "all-gather"
  return kind if kind in COLLECTIVES else ""
