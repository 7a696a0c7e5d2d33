"""Prepares videos for training: original files in, ArrayRecord shards out."""

import argparse
import dataclasses
import math
import os
from collections.abc import Sequence

from hdc_jax.data.datasets import DATASETS, Request, layouts
from hdc_jax.data.datasets.tables import formats
from hdc_jax.data.synthetic import worlds
from hdc_jax.data.video import codec as codec_lib
from hdc_jax.prepare import pipeline, runners, shards
from hdc_jax.runtime import commands, locks

_HELP = """\
Every video is decoded once, turned upright, given square pixels, scaled to
--short_side and stored as H.264 from which a training clip of 16 frames can be
cut in about 2 ms.

Interrupted or killed, it goes on at the first shard that is not finished when
run again. Run again on a complete dataset, it does nothing; if some of the
files have changed, it makes only the shards that hold them. Videos that cannot
be used are left out, and named at the end and in index.json: those that cannot
be decoded to their end, and those that end before the length that their
container claims, as files do that were cut off.

examples:
  # eight motions in front of eight scenes, generated: something to try
  python -m hdc_jax.prepare --dataset=synthetic --output=runs/demo/data

  # a camera moves over scenes that change while its motion goes on; every
  # second cut returns to the video's first scene
  python -m hdc_jax.prepare --dataset=synthetic --world=camera --output=data \\
    --shared_scene=0.5

  # your own videos; sub-folders, if there are any, are the classes, or the
  # splits: train/walk/1.mp4, test/walk/2.mp4, ...
  python -m hdc_jax.prepare --dataset=folder --source=~/videos --output=data

  # your own videos as lists have them, in the formats below
  python -m hdc_jax.prepare --dataset=table --source=~/videos \\
    --table lists/train.csv lists/val.csv --output=data

  # a published dataset, all its splits at once
  python -m hdc_jax.prepare --dataset=ucf101 --source=~/UCF-101 \\
    --splits=~/ucfTrainTestlist --output=data

  # videos of hours beside others of seconds: parts of about a minute
  python -m hdc_jax.prepare --dataset=folder --source=~/videos --output=data \\
    --segment=60

  # twice the resolution, all cores, few large shards
  python -m hdc_jax.prepare --dataset=folder --source=~/videos --output=data \\
    --short_side=256 --shards=16

  # from bucket to bucket: gs:// needs `pip install gcsfs`, s3:// needs s3fs
  python -m hdc_jax.prepare --dataset=folder --source=gs://BUCKET/videos \\
    --output=gs://BUCKET/data

  # Apache Beam (`pip install apache-beam`) instead of the local processes, on
  # this machine; the options that follow -- are Beam's own
  python -m hdc_jax.prepare --dataset=folder --source=~/videos --output=data \\
    --runner=DirectRunner -- --direct_num_workers=8 \\
    --direct_running_mode=multi_processing

  # on Dataflow, with an image as docs/datasets.md describes it
  python -m hdc_jax.prepare --dataset=kinetics400 \\
    --source=gs://BUCKET/k400 --splits=gs://BUCKET/k400-csv \\
    --output=gs://BUCKET/data --runner=DataflowRunner -- \\
    --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp \\
    --sdk_container_image=IMAGE --max_num_workers=100 \\
    --number_of_worker_harness_threads=1

what has to lie where, by dataset:
"""

_WORLD_OPTIONS = {f.name: f for f in dataclasses.fields(worlds.CameraWorld)}


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  return commands.run(parse, run, argv)


def run(options: argparse.Namespace) -> None:
  """Prepares the dataset that options of `parse` describe.

  Args:
    options: The options.

  Raises:
    ConfigError, DataError, StorageError, OSError: See `pipeline.prepare`.
  """
  with locks.locked(options.output, "--output"):
    pipeline.prepare(
      options.dataset,
      Request(
        source=options.source,
        splits=options.splits,
        output=options.output,
        videos=options.videos,
        seed=options.seed,
        workers=options.workers,
        tables=tuple(options.table),
        table_format=options.table_format,
        world=options.world,
        world_options={
          name: value
          for name in _WORLD_OPTIONS
          if (value := getattr(options, name)) is not None
        },
      ),
      codec=options.codec,
      short_side=options.short_side,
      deinterlace=options.deinterlace,
      segment=options.segment,
      num_shards=options.shards,
      runner=options.runner,
      runner_options=options.runner_options,
    )


def parse(argv: Sequence[str]) -> argparse.Namespace:
  """Parses a command line.

  Args:
    argv: Arguments of the command.

  Returns:
    The options; `runner_options` are the arguments that follow `--`.

  Raises:
    ConfigError: If an argument is unknown or wrong.
  """
  own, runner_options = commands.split(argv)
  parser = commands.make_parser(
    "python -m hdc_jax.prepare",
    __doc__,
    _HELP + layouts(),
    usage="%(prog)s [options] [-- options of the Beam runner]",
  )
  add = parser.add_argument
  add(
    "--dataset",
    metavar="NAME",
    required=True,
    choices=sorted(DATASETS),
    help=f"the layout of the files, see below: {', '.join(sorted(DATASETS))}",
  )
  add(
    "--source",
    metavar="DIR",
    type=os.path.expanduser,
    help="where the video files are (synthetic: where to generate them, by "
    "default OUTPUT/videos)",
  )
  add(
    "--splits",
    metavar="DIR",
    type=os.path.expanduser,
    help="where the official split files are, for datasets that have some",
  )
  add(
    "--table",
    metavar="FILE",
    nargs="+",
    action="extend",
    default=[],
    type=os.path.expanduser,
    help="table: the files that list the videos, with classes and splits",
  )
  add(
    "--table_format",
    choices=formats.CHOICES,
    help="table: what several numbers in each line of a list are, where the "
    "list does not tell: classes, or a number of frames and classes",
  )
  add(
    "--output",
    metavar="DIR",
    type=os.path.expanduser,
    required=True,
    help="where the prepared dataset goes",
  )
  add(
    "--codec",
    default="h264",
    choices=codec_lib.CODECS,
    help="h264 (about 1 KB a frame) or raw (exact; thirty times that); "
    "default: %(default)s",
  )
  add(
    "--short_side",
    metavar="PIXELS",
    type=int,
    default=128,
    help="short side of the stored frames, of which training crops are taken; "
    "default: %(default)s",
  )
  add(
    "--deinterlace",
    action="store_true",
    help="remove the combing from frames that are marked as interlaced; the "
    "number of frames stays the same",
  )
  add(
    "--segment",
    metavar="SECONDS",
    type=_seconds,
    default=0.0,
    help="cut long videos into parts of about this length, each a video of the "
    "dataset with the splits, labels and group of its file, so that they are "
    "drawn as often as their length says; default: none is cut",
  )
  add(
    "--shards",
    metavar="N",
    type=_positive,
    help="files to write; give at least as many as hosts will read them; "
    f"default: one for {shards.VIDEOS_PER_SHARD} videos, "
    f"{shards.MAX_SHARDS} at most",
  )
  add(
    "--workers",
    metavar="N",
    type=_positive,
    default=os.cpu_count(),
    help="processes of the local runner; default: one for each core, here "
    "%(default)s",
  )
  add(
    "--runner",
    default="local",
    metavar="NAME",
    choices=runners.RUNNERS,
    help="what makes the shards: local (processes here) or a runner of Apache "
    f"Beam ({', '.join(list(runners.RUNNERS)[1:])}), whose own options follow "
    "--; default: %(default)s",
  )
  add(
    "--videos",
    metavar="N",
    type=_positive,
    default=640,
    help="synthetic: how many to generate; default: %(default)s",
  )
  add(
    "--seed",
    metavar="S",
    type=int,
    default=0,
    help="synthetic: another seed, other videos; default: %(default)s",
  )
  add(
    "--world",
    choices=worlds.WORLDS,
    help="synthetic: object (one object moves in front of a static scene that "
    "changes once) or camera (a camera's motion moves the picture and goes on "
    "while the scene changes), see below; default: object",
  )
  for name, field in _WORLD_OPTIONS.items():
    text = field.metadata["rule"].help
    add(
      f"--{name}",
      metavar="N" if field.type is int else "X",
      type=field.type,
      help=f"synthetic, world camera: {text[0].lower()}{text[1:-1]}; default: "
      f"{field.default:g}",
    )
  options = parser.parse_args(own)
  options.runner_options = runner_options
  return options


def _seconds(text: str) -> float:
  number = float(text)
  if not 1 <= number < math.inf:
    raise argparse.ArgumentTypeError(f"{text} must be at least 1 second")
  return number


def _positive(text: str) -> int:
  number = int(text)
  if number < 1:
    raise argparse.ArgumentTypeError(f"{text} must be at least 1")
  return number
