"""Estimated cycles and exchanged bytes of a step, by module of the network."""

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

# Opcodes that take no time themselves.
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

# `uncounted` lists results from this many bytes on.
_MIN_UNCOUNTED_BYTES = 64 << 20

# How an exchange between slices hands its data to the network.
_NETWORK = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_CHANNEL = re.compile(r"\bchannel_id=(\d+)")
_WRAPPED = re.compile(r"(?:jvp|transpose|vmap)\((.*)\)")
_MODULE = re.compile(r"[A-Za-z]\w*")
_STRUCTURE = re.compile(
  r"cond|while|body|closed_call|checkpoint|rematted_computation|branch_\d+_fun"
)


def by_module(executed: Iterable[Executed]) -> list[dict[str, Any]]:
  """Sums estimated cycles by module, forward and backward pass separately.

  Args:
    executed: Instructions of a step.

  Returns:
    A row for each module and pass, the costliest first: 'name' of the module,
    'backward', whether it is the backward pass, and 'cycles'.
  """
  cycles: collections.Counter[tuple[str, bool]] = collections.Counter()
  for e in executed:
    if e.instruction.cycles and not e.fused:
      path = module_path(e.instruction.op_name)
      cycles[path] += e.times * e.instruction.cycles
  return [
    {"name": name, "backward": backward, "cycles": total}
    for (name, backward), total in cycles.most_common()
  ]


def uncounted(executed: Iterable[Executed]) -> list[dict[str, Any]]:
  """Lists computations with large results for which there is no estimate.

  Args:
    executed: Instructions of a step.

  Returns:
    A row for each module, pass and opcode, the largest first: 'name' of the
    module, 'backward', 'opcode' and 'bytes' of all results in a step.
  """
  sizes: collections.Counter[tuple[str, bool, str]] = collections.Counter()
  for e in executed:
    i = e.instruction
    if e.fused or i.cycles is not None or not _computes(i):
      continue
    path = (*module_path(i.op_name), i.opcode)
    sizes[path] += e.times * hlo.shape_bytes(i.shape)
  return [
    {"name": name, "backward": backward, "opcode": opcode, "bytes": size}
    for (name, backward, opcode), size in sizes.most_common()
    if size >= _MIN_UNCOUNTED_BYTES
  ]


def _computes(instruction: Instruction) -> bool:
  """Whether an instruction takes time of its own on the chip's units.

  Structure takes none; copies and collectives run concurrently with others.
  """
  opcode = instruction.opcode
  return not (
    opcode in _STRUCTURAL
    or opcode.endswith(("-start", "-done"))
    or collective_kind(instruction)
    or "ConcatBitcast" in instruction.text
  )


def exchanges(executed: Iterable[Executed]) -> list[dict[str, Any]]:
  """Lists the exchanges of data between chips.

  Args:
    executed: Instructions of a step.

  Returns:
    A row for each exchange, the largest first: 'kind', see `collective_kind`;
    'opcode', which can be another collective; 'name' of the module; 'dtype' of
    the results; 'times', the number of executions in a step; 'bytes' of the
    results on each chip, of all executions; and 'network', whether it goes over
    the network to other slices, where 'bytes' are those that a chip hands over.
  """
  rows = []
  for e in collectives(executed):
    name, _ = module_path(e.instruction.op_name)
    network = goes_over_network(e.instruction)
    # A send has its data first, and then what tells the receiver.
    shape = (
      e.instruction.shape.split("}")[0] if network else e.instruction.shape
    )
    size = e.times * hlo.shape_bytes(shape)
    kind = collective_kind(e.instruction)
    dtype = ", ".join(sorted(hlo.dtypes(shape)))
    rows.append(
      {
        "kind": kind,
        "opcode": e.instruction.opcode.removesuffix("-done"),
        "name": name,
        "dtype": dtype,
        "times": e.times,
        "bytes": size,
        "network": network,
      }
    )
  return sorted(rows, key=lambda exchange: -exchange["bytes"])


def module_path(op_name: str) -> tuple[str, bool]:
  """The module of the network that an instruction comes from, and the pass.

  Args:
    op_name: JAX's name of the operation; '' if unknown.

  Returns:
    The path of the module in the network; outside of the network the named
    scope, 'update', 'update/loss' or 'augment', or 'step' for what has none; ''
    if `op_name` is '' or a name that the compiler made, which has no path. And
    whether it belongs to the backward pass.

  Example:
    >>> module_path(
    ...   "jit(train_step)/update/transpose(jvp(Network))/backbone/block3_0/add"
    ... )
    ('backbone/block3_0', True)
  """
  path = []
  for name in _split(op_name)[:-1]:
    while wrapped := _WRAPPED.fullmatch(name):
      name = wrapped[1]
    # Flax names a method of a module as "Network.pool", and a function of one
    # as "backbone/backbone.run_stage".
    name, *_ = name.split(".")
    named = _MODULE.fullmatch(name) and not _STRUCTURE.fullmatch(name)
    if named and [name] != path[-1:]:
      path.append(name)
  if "Network" in path:
    # What is computed again in the backward pass has the path of both passes.
    start = len(path) - path[::-1].index("Network")
    path = path[start:] or ["pooling"]
  elif "augment" in path:
    path = ["augment"]
  elif "update" not in path:
    path = ["step"] if "/" in op_name else []
  return "/".join(path), "transpose(" in op_name


def _split(op_name: str) -> list[str]:
  """Splits a name at the slashes that are not within parentheses."""
  parts, depth = [""], 0
  for letter in op_name:
    depth += (letter == "(") - (letter == ")")
    if letter == "/" and not depth:
      parts.append("")
    else:
      parts[-1] += letter
  return parts


def collectives(executed: Iterable[Executed]) -> list[Executed]:
  """Lists the instructions that exchange data between chips.

  An exchange that runs concurrently with computations consists of a start and a
  done, or of a chain of fusions, all with the same channel; it is listed once,
  by the last of them. One among several slices has parts: those within a slice,
  and that over the network. Each is listed.

  Args:
    executed: Instructions of a step.

  Returns:
    One instruction for each exchange.
  """
  by_channel = {}
  for e in executed:
    kind = collective_kind(e.instruction)
    if kind:
      channel = _CHANNEL.search(e.instruction.text)
      name = channel[1] if channel else e.instruction.name
      by_channel[name, kind, goes_over_network(e.instruction)] = e
  return list(by_channel.values())


def collective_kind(instruction: Instruction) -> str:
  """The kind of exchange that an instruction completes.

  Of a start and a done only the done counts, as its shape is that of the result
  alone. On many chips the compiler can implement an all-gather as an all-reduce
  of zeros, into which each chip has written its own data by an update-slice;
  such an all-reduce counts as an all-gather. It suffices that one operand is
  named after an update-slice, since a copy may have renamed the others.

  Args:
    instruction: The instruction.

  Returns:
    One of `COLLECTIVES`, or '' if it does not complete an exchange.
  """
  kind = instruction.opcode.removesuffix("-done")
  if goes_over_network(instruction):
    (kind,) = _NETWORK.findall(instruction.text)
    return kind.lower().replace("_", "-")
  if kind == "all-reduce":
    operands = re.search(r" all-reduce\(([^)]*)\)", instruction.text)
    if operands and "update-slice" in operands[1]:
      return "all-gather"
  return kind if kind in COLLECTIVES else ""


def goes_over_network(instruction: Instruction) -> bool:
  """Whether an instruction hands data to the network, for other slices.

  Args:
    instruction: The instruction.
  """
  return instruction.opcode == "send" and bool(
    _NETWORK.search(instruction.text)
  )
