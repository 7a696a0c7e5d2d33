"""Plans a pretraining on a TPU slice, on a machine without TPUs.

Compiles the train step of a config for the slice, with the compiler for TPU
(libtpu), and prints its estimates: the memory of a chip, the time of a step,
videos per second, the bytes that chips exchange, and the costliest modules. It
also prints how many cores a host needs to feed its chips, at the rate at which
one core of this machine cuts clips, and how many processes keep them busy: with
more than one, set config.data.workers. Nothing is run on a TPU: all times are
the compiler's estimates.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import ml_collections
from etils import epath

from hdc_jax.config import flags
from hdc_jax.data import feeding, sources
from hdc_jax.data.clips import training_clips
from hdc_jax.errors import ConfigError, TooLargeError, require
from hdc_jax.plan import compiling, page, slice_plan
from hdc_jax.runtime import buckets, commands, files
from hdc_jax.runtime.slices import GENERATIONS, Slice
from hdc_jax.tasks.pretrain import WithoutData

_EXAMPLES = r"""examples:
  What the paper's recipe takes on 256 chips, with 16 videos each:
    python -m hdc_jax.plan --config=configs/r3d18.py --topology=v5e:16x16 \
      --batch_per_chip=16

  How it scales, and as JSON for scripts:
    python -m hdc_jax.plan --config=configs/r3d18.py --batch_per_chip=16 \
      --topology=v5e:4x4,v5e:8x8,v5e:16x16 --json=plan.json

  The largest batch that fits a chip of v4 (several compilations):
    python -m hdc_jax.plan --config=configs/r3d50.py --topology=v4:4x4x4 --fit

A compilation takes minutes. Its estimates are kept in --cache, so that the same
step is not compiled again. Any field of the config can be set on the command
line: --config.model.dtype=float32. The exit code is 7 if a step does not fit
the memory of a chip; the others are listed in hdc_jax/errors.py.
"""

_CACHE = os.path.join("~", ".cache", "hdc_jax", "plan")

# Videos per chip if the config's batch does not split over the chips.
_PER_CHIP = 16

# Duration of the measurement of the rate at which clips are cut, in seconds.
_SECONDS = 1.5


def plan(
  config: ml_collections.ConfigDict,
  topologies: Sequence[str],
  per_chip: int,
  cache: str,
  fit: bool = False,
) -> dict[str, Any]:
  """Plans the pretraining that a config describes.

  Args:
    config: A config of task `pretrain`.
    topologies: Names of slices, such as 'v5e:16x16'.
    per_chip: Videos per chip.
    cache: Directory of the compiler's estimates.
    fit: Whether to search for the largest batch per chip.

  Returns:
    The content of --json, with a row for each slice in `rows`.

  Raises:
    ConfigError: If a slice or a field is wrong, or libtpu is not installed.
  """
  options = WithoutData.read(config)
  compiling.use_cpu()
  size = options.model.size
  method = options.method.make(options.augment, size)
  short_side = _short_side(options)
  training_clips.check_clips(options.clips, size, short_side)
  videos, measured_on = feeding.videos_of(options.dataset.path, short_side)
  rate = feeding.clips_per_second(
    videos, options.clips, method.starts, _SECONDS
  )
  planner = slice_plan.SlicePlanner(
    options, short_side, method.starts.clips, rate, cache
  )
  rows = [planner.compile_row(name, per_chip) for name in topologies]
  if fit:
    rows = [row | planner.find_largest(row["name"], row) for row in rows]
  return {
    "estimates": slice_plan.LABEL,
    "rows": rows,
    "clips_per_second_per_core": rate,
    "clips_measured_on": measured_on,
    "model": options.model.name,
    "method": options.method.name,
    "dtype": options.model.dtype,
    "clips_per_video": len(method.views),
    "clip": [options.clips.frames, size, size],
    "device": rows[0]["device"],
    "host": feeding.processor(),
    "versions": compiling.versions(),
  }


def _short_side(options: WithoutData) -> int:
  """The short side of the dataset's frames in pixels, or else a likely one."""
  path = options.dataset.path
  if not path:
    if options.clips.canvas:
      return feeding.likely_short_side(options.clips.canvas)
    return options.short_side
  return sources.read_index(path, options.short_side).short_side


def _per_chip(batch_size: int, where: Slice) -> int:
  """The config's videos per chip; `_PER_CHIP`, with a note, if they differ."""
  count, rest = divmod(batch_size, where.chips)
  if count and not rest:
    return count
  print(
    f"config.data.batch_size={batch_size} does not split over "
    f"{where.chips} chips; planned with --batch_per_chip={_PER_CHIP}, which is "
    f"--config.data.batch_size={_PER_CHIP * where.chips}",
    file=sys.stderr,
  )
  return _PER_CHIP


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  """The options; `fields` are the arguments that set fields of the config."""
  parser = commands.make_parser("python -m hdc_jax.plan", __doc__, _EXAMPLES)
  flags.add_config(parser)
  parser.add_argument(
    "--topology",
    metavar="SLICE,…",
    default="",
    help="slices, such as v5e:16x16 or v4:4x4x4, of "
    f"{', '.join(GENERATIONS)}; several make a table; 4*v5e:16x16 are four, "
    "joined over the network",
  )
  parser.add_argument(
    "--batch_per_chip",
    metavar="N",
    type=int,
    help="videos per chip, of every slice; by default config.data.batch_size "
    f"over the chips of the first, or {_PER_CHIP} if that does not split",
  )
  parser.add_argument(
    "--fit",
    action="store_true",
    help="search for the largest number of videos per chip that fits, by "
    "bisection: up to ten more compilations per slice",
  )
  parser.add_argument(
    "--json", metavar="FILE", help="file that gets all results, as JSON"
  )
  parser.add_argument(
    "--cache",
    metavar="DIR",
    default=_CACHE,
    help="directory of the compiler's estimates; by default %(default)s",
  )
  options, options.fields = parser.parse_known_args(argv)
  return options


def _run(options: argparse.Namespace) -> None:
  """Plans, prints and writes what the command line asks for.

  Raises:
    ConfigError: If the command line or the config is wrong.
    TooLargeError: If a step does not fit the memory of a chip.
  """
  config = flags.read_config(options.config, options.fields)
  require("--topology", options.topology, "name a slice: v5e:16x16")
  names = options.topology.split(",")
  slices = [Slice.parse(name, "--topology") for name in names]
  per_chip = options.batch_per_chip
  if per_chip is None:
    batch_size = WithoutData.read(config).batches.batch_size
    per_chip = _per_chip(batch_size, slices[0])
  if per_chip < 1:
    raise ConfigError(f"--batch_per_chip={per_chip} must be at least 1")
  cache = os.path.expanduser(options.cache)
  # A path without access is an error before minutes of compiling.
  for path in filter(None, (cache, options.json)):
    buckets.check_access(path)
  epath.Path(cache).mkdir(parents=True, exist_ok=True)
  record = plan(config, names, per_chip, cache, options.fit)
  print(page.format_record(record))
  if options.json:
    files.write_json(options.json, record)
  for row in record["rows"]:
    if not row["fits"]:
      raise TooLargeError(
        f"{row['name']}: {per_chip} videos do not fit the memory of a chip: "
        f"lower --batch_per_chip, or search for the largest with --fit"
      )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  return commands.run(_parse, _run, argv)
