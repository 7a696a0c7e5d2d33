"""Converts encoders between runs and files: of weights, and of programs."""

import argparse
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from hdc_jax.config import flags
from hdc_jax.convert import (
  encoder,
  exported,
  formats,
  huggingface,
  layouts,
  prefixes,
  programs,
)
from hdc_jax.convert.layouts import Layout
from hdc_jax.errors import ConfigError, DataError, choose
from hdc_jax.runs import results
from hdc_jax.runtime import commands, files
from hdc_jax.tasks.pretrain import WithoutData

_SHOWN = 12  # number of names that are printed of those left out
_HELP = """\
The extension of a file is its format:

  .safetensors      weights, to be loaded with code: that of PyTorch in
                    hdc_jax/interop/encoders.py, or hdc_jax.load
  .pt .pth .pth.tar the same as a file of PyTorch, under 'state_dict'; needs
                    pip install torch
  .stablehlo        weights and program, for JAX on CPU, NVIDIA GPU and TPU
  .onnx             weights and program, for ONNX runtimes, in float32; needs
                    pip install torch onnx onnxruntime onnxscript

A program takes any number of clips, RGB in [-1, 1], and returns 'features' and
the endpoints 'block1' to 'block5'; FILE.json says all shapes. Only weights can
be imported. Whatever is exported is read back before it gets its name: weights
must be the same bit for bit, and a program is run on random clips; its outputs
must be those of the run to 1e-5 of their length (StableHLO; 1e-2 where
activations are bfloat16) or 1e-4 (ONNX).

An imported .pt file may hold them there, under 'model_state_dict', 'model' or
'net', or anywhere as the only state dict; objects beside them are passed over,
and no code of theirs runs. Prefixes such as 'module.', 'backbone.' or
'encoder_q.' are left out, and so is what does not have them.

examples:
  # an encoder for PyTorch; hdc_jax/interop/encoders.py loads it
  python -m hdc_jax.convert export --checkpoint=runs/first \\
    --output=encoder.safetensors

  # a folder for transformers.AutoModel, which needs no hdc_jax
  python -m hdc_jax.convert export --checkpoint=runs/first \\
    --format=huggingface --output=first-encoder

  # a program, which needs neither hdc_jax nor the code of the network
  python -m hdc_jax.convert export --checkpoint=runs/first \\
    --output=encoder.stablehlo

  # the names of torchvision's r3d_18, for a network without pool in the stem
  python -m hdc_jax.convert export --checkpoint=runs/first \\
    --output=encoder.pt --layout=torchvision

  # published weights as a run, which config.checkpoint can name
  python -m hdc_jax.convert import --weights=r3d18_K_200ep.pth \\
    --config=configs/r3d18.py --config.model.norm=batch \\
    --config.model.shortcut=B --output=runs/r3d18-k700

  # those of torchvision
  python -m hdc_jax.convert import --weights=r3d_18.pth \\
    --config=configs/r3d18.py --config.model.norm=batch \\
    --config.model.shortcut=B --config.model.stem="(3,7,7)" \\
    --config.model.stem_pool=False --output=runs/r3d18-torchvision

  # S3D of CoCLR; without epsilon, that of torchvision
  python -m hdc_jax.convert import --weights=CoCLR-k400-rgb.pth.tar \\
    --config=configs/s3d.py --config.model.norm=batch \\
    --config.model.epsilon=1e-5 --output=runs/s3d-coclr

  # I3D of pytorch-i3d
  python -m hdc_jax.convert import --weights=rgb_imagenet.pt \\
    --config=configs/i3d.py --config.model.norm=batch --output=runs/i3d

  # those of R3D-50 in 3D-ResNets-PyTorch; r3d50 is CVRL's by default
  python -m hdc_jax.convert import --weights=r3d50_K_200ep.pth \\
    --config=configs/r3d50.py --config.model.norm=batch \\
    --config.model.design=hara --output=runs/r3d50-k700

  # R(2+1)D-18 of torchvision, or by a method in the collection of SEVERE
  python -m hdc_jax.convert import --weights=r2plus1d_18.pth \\
    --config=configs/r2plus1d18.py --config.model.norm=batch \\
    --output=runs/r2plus1d18-torchvision

  # SlowOnly of PyTorchVideo or PySlowFast
  python -m hdc_jax.convert import --weights=slow_r50.pth \\
    --config=configs/slowonly50.py --config.model.norm=batch \\
    --output=runs/slow-r50

Our networks see RGB in [-1, 1]; published ones were trained on frames with
other means and scales, which their weights do not show.
"""


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  return commands.run(_parse, lambda options: options.run(options), argv)


def _export(options: argparse.Namespace) -> None:
  """Writes the encoder of a run to a file, or to a folder."""
  if options.fields:
    raise ConfigError(f"unexpected argument {options.fields[0]!r}; see --help")
  if options.format == "huggingface":
    _export_folder(options)
    return
  if pathlib.Path(options.output).suffix in programs.PROGRAMS:
    _export_program(options)
    return
  file_format = formats.of(options.output, [*programs.PROGRAMS])
  loaded = encoder.load(options.checkpoint)
  backbone, variables = loaded.backbone, loaded.variables
  own, *others = [
    layout for layout in layouts.of(backbone.name) if layout.exports
  ]
  choices = {layout.name: layout for layout in (own, *others)}
  layout = choose("--layout", options.layout or own.name, choices)
  encoder.check_layout(layout, backbone)
  # The description is for our own encoders, which have the default names.
  described = {
    "model": backbone.architecture(),
    "clips": exported.describe_clips(backbone, loaded.config),
  }
  texts = {k: json.dumps(v) for k, v in described.items() if layout is own}
  arrays = layouts.to_torch(variables, layout)
  with files.writing(options.output) as partial:
    file_format.write_verified(pathlib.Path(partial), arrays, texts)
  _summarise(options.output, variables, layout)


def _export_folder(options: argparse.Namespace) -> None:
  """Writes the encoder of a run to a folder in Hugging Face's layout."""
  _refuse_layout(options, "--format=huggingface, whose folder has the code")
  loaded = encoder.load(options.checkpoint)
  huggingface.write(loaded, options.output)
  layout = layouts.of(loaded.backbone.name)[0]
  _summarise(options.output, loaded.variables, layout)


def _export_program(options: argparse.Namespace) -> None:
  """Writes the encoder of a run as a program."""
  _refuse_layout(options, f"{options.output}, which has the program")
  loaded = encoder.load(options.checkpoint)
  difference = programs.write(loaded, options.output)
  print(
    f"{options.output}: {_count(loaded.variables):,} weights and their program;"
    f" its outputs differ by {difference:.1e} of their length"
  )


def _refuse_layout(options: argparse.Namespace, what: str) -> None:
  """Raises ConfigError if names are chosen that nobody will see."""
  if options.layout:
    raise ConfigError(
      f"--layout has no effect with {what} that reads its weights: leave it out"
    )


def _import(options: argparse.Namespace) -> None:
  """Writes a run with the encoder of a file."""
  file_format = formats.of(options.weights)
  config = flags.read_config(options.config, options.fields)
  if results.read_owner(options.output):
    raise ConfigError(f"--output: there is a run in {options.output} already")
  backbone = WithoutData.read(config).model
  template = encoder.template(backbone)
  arrays, texts = file_format.read(options.weights)
  encoder.check_description(options.weights, texts, backbone)
  try:
    arrays, left_out = prefixes.split(
      arrays, layouts.known_names(template, backbone.name)
    )
    classifier = [name for name in arrays if layouts.CLASSIFIER.match(name)]
    arrays = {n: array for n, array in arrays.items() if n not in classifier}
    left_out += classifier
    encoder.check_norm(options.weights, arrays, backbone)
    layout = layouts.detect(arrays, template, backbone.name)
    variables = layouts.from_torch(arrays, template, layout, backbone.norm)
  except DataError as error:
    raise DataError(f"{options.weights}: {error}") from error
  encoder.check_layout(layout, backbone)
  encoder.save(config, variables, options.output)
  _summarise(options.output, variables, layout)
  if left_out:
    # Few dots first: a queue or a classifier before another encoder's layers.
    shown = sorted(left_out, key=lambda name: name.count("."))[:_SHOWN]
    more = f", … ({len(left_out)})" if len(left_out) > _SHOWN else ""
    print(f"  left out: {', '.join(shown)}{more}")


def _summarise(
  output: str | os.PathLike[str], variables: Mapping[str, Any], layout: Layout
) -> None:
  """Prints what was written where."""
  print(f"{output}: {_count(variables):,} weights by {layout.name}'s names")


def _count(variables: Mapping[str, Any]) -> int:
  """The number of weights."""
  return sum(leaf.size for leaf in jax.tree.leaves(variables))


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  """The options; `fields` are the arguments that set fields of the config."""
  parser = commands.make_parser("python -m hdc_jax.convert", __doc__, _HELP)
  verbs = parser.add_subparsers(required=True, metavar="export|import")

  export = _add_verb(verbs, "export", _export, "a run's encoder → a file")
  export.add_argument(
    "--checkpoint",
    metavar="RUN",
    required=True,
    help="a run, or a checkpoint in it: RUN/checkpoints/N, or …/best",
  )
  export.add_argument(
    "--output",
    metavar="FILE",
    required=True,
    help="the file to write, or the folder",
  )
  export.add_argument(
    "--format",
    choices=("file", "huggingface"),
    default="file",
    help="file (of the extension's format) or huggingface (a folder that "
    "transformers opens, with the code of the model and a card); default: "
    "%(default)s",
  )
  export.add_argument(
    "--layout",
    choices=sorted({layout.name for layout in layouts.LAYOUTS}),
    help="whose names the weights get; default: those that "
    "hdc_jax/interop/encoders.py has",
  )

  import_ = _add_verb(verbs, "import", _import, "a file's encoder → a run")
  import_.add_argument(
    "--weights", metavar="FILE", required=True, help="the file to read"
  )
  import_.add_argument(
    "--output", metavar="RUN", required=True, help="the run to write"
  )
  flags.add_config(import_)
  options, options.fields = parser.parse_known_args(argv)
  return options


def _add_verb(
  verbs: Any, name: str, run: Callable[..., None], summary: str
) -> argparse.ArgumentParser:
  parser = verbs.add_parser(
    name, help=summary, description=summary, allow_abbrev=False
  )
  commands.add_debug(parser)
  parser.set_defaults(run=run)
  return parser
