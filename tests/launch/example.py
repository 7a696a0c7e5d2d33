"""A run that the tests launch."""

import pathlib

import pytest

from launch import slice_run

# ml_collections reads config files by it.
READS_CONFIGS = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)
ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = pathlib.Path(__file__).with_name("golden")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FLAGS = {
  "--name": "k400-hdc",
  "--slice": "v5e:4x4",
  "--zone": "us-west4-a",
  "--capacity": "spot",
  "--code": f"https://github.com/me/hdc-jax.git@{COMMIT}",
}
ARGS = (
  "--config=configs/r3d18.py",
  "--config.data.path=gs://bucket/k400",
  "--workdir=gs://bucket/runs/first",
)


def argv(*more, args=ARGS, **changes):
  flags = FLAGS | {f"--{name}": value for name, value in changes.items()}
  return [*(f"{n}={v}" for n, v in flags.items()), *more, "--", *args]


def run(*more, **changes):
  parser = slice_run.make_parser("test", "", "")
  return slice_run.parse(parser, argv(*more, **changes)).run
