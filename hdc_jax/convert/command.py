"""Converts encoders between runs of this package and PyTorch."""

import argparse
import json
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import safetensors
import safetensors.numpy

from hdc_jax.config import flags
from hdc_jax.convert import layouts
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError, DataError, HdcError, choose
from hdc_jax.evaluate import pretrained
from hdc_jax.models import BackboneOptions
from hdc_jax.runs import metrics
from hdc_jax.tasks import pretrain
from hdc_jax.tasks.pretrain import WithoutData
from hdc_jax.train import checkpoint

Arrays = dict[str, np.ndarray]
Metadata = dict[str, str]

_TORCH = (".pt", ".pth", ".tar")
_SAFETENSORS = ".safetensors"

_HELP = """\
The extension of a file is its format: .safetensors, or .pt, .pth, .pth.tar,
for which PyTorch must be installed: pip install torch. A .pt file holds the
weights under 'state_dict'.

examples:
  # an encoder for PyTorch; hdc_jax/interop/encoders.py loads it
  python -m hdc_jax.convert export --checkpoint=runs/first \\
    --output=encoder.safetensors

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
  options, fields = _parse(argv)
  try:
    options.run(options, fields)
  except (HdcError, OSError) as error:  # OSError: a disk full, no permission
    if options.debug:
      traceback.print_exc()
    print(f"error: {error}", file=sys.stderr)
    return getattr(error, "exit_code", DataError.exit_code)
  return 0


def load_backbone(reference: str) -> tuple[BackboneOptions, dict[str, Any]]:
  """The backbone of a run, and its variables as NumPy arrays.

  Args:
    reference: A run directory, or one step in it, as in `config.checkpoint`.

  Raises:
    DataError: If there is no checkpoint.
  """
  loaded = pretrained.load(reference, mesh.make_mesh())
  return loaded.backbone, jax.device_get(loaded.variables)


def save_run(
  config: ml_collections.ConfigDict, variables: Mapping[str, Any], output: str
) -> None:
  """Writes a run at step 0: a backbone, and heads that are untrained.

  Args:
    config: A config of task `pretrain`; its dataset is not used.
    variables: The backbone's variables, by collection.
    output: Directory of the run.

  Raises:
    ConfigError: If the config is wrong.
  """
  training = WithoutData.read(config).make_training(mesh.make_mesh())
  state = training.init_state().with_backbone(variables)
  values = pretrain.TASK.run_config(config.to_dict()).values
  metrics.write_config(output, values)
  with checkpoint.Checkpoints(output) as saved:
    # It has seen no dataset, so no training can go on from here.
    saved.save(0, state, {"step": 0, "fingerprint": ""}, values)


def _export(options: argparse.Namespace, fields: Sequence[str]) -> None:
  """From a run to a file."""
  if fields:
    raise ConfigError(f"unexpected argument {fields[0]!r}; see --help")
  _, write = _format(options.output)
  backbone, variables = load_backbone(options.checkpoint)
  own, *others = [
    layout for layout in layouts.of(backbone.name) if layout.exports
  ]
  choices = {layout.name: layout for layout in (own, *others)}
  layout = choose("--layout", options.layout or own.name, choices)
  _check_requirements(layout, backbone)
  # The metadata is for our own encoders, which have the default names.
  model = json.dumps(backbone.architecture())
  metadata = {"model": model} if layout is own else {}
  arrays = layouts.to_torch(variables, layout)
  output = pathlib.Path(options.output)
  output.parent.mkdir(parents=True, exist_ok=True)
  partial = output.with_name(f"{output.name}.partial")
  write(partial, arrays, metadata)
  partial.replace(output)
  _report(output, variables, layout)


def _import(options: argparse.Namespace, fields: Sequence[str]) -> None:
  """From a file to a run."""
  read, _ = _format(options.weights)
  config = flags.read_config(options.config, fields)
  if (pathlib.Path(options.output) / "checkpoints").exists():
    raise ConfigError(f"--output: there is a run in {options.output} already")
  backbone = WithoutData.read(config).model
  clip = jnp.zeros((1, 16, 112, 112, 3))
  template = jax.eval_shape(backbone.make().init, jax.random.key(0), clip)

  arrays, metadata = read(options.weights)
  _check_description(options.weights, metadata, backbone)
  left_out = [name for name in arrays if layouts.CLASSIFIER.match(name)]
  arrays = {n: array for n, array in arrays.items() if n not in left_out}
  layout = layouts.detect(arrays, template, backbone.name)
  try:
    variables = layouts.from_torch(arrays, template, layout, backbone.norm)
  except DataError as error:
    raise DataError(f"{options.weights}: {error}") from error
  _check_requirements(layout, backbone)
  save_run(config, variables, options.output)
  _report(options.output, variables, layout)
  if left_out:
    print(f"  left out: {', '.join(left_out)}")


def _report(
  output: str | os.PathLike[str],
  variables: Mapping[str, Any],
  layout: layouts.Layout,
) -> None:
  weights = sum(leaf.size for leaf in jax.tree.leaves(variables))
  print(f"{output}: {weights:,} weights by {layout.name}'s names")


def _check_requirements(
  layout: layouts.Layout, backbone: BackboneOptions
) -> None:
  """Raises ConfigError where the layout's networks are built otherwise."""
  for field, value in layout.requires.items():
    own = getattr(backbone, field, None)
    if own != value:
      raise ConfigError(
        f"{layout.name}'s layout is of networks with {field}={value}, but "
        f"config.model.{field} is {own!r}: import with "
        f"--config.model.{field}={value}, export without --layout"
      )


def _check_description(
  path: str, metadata: Metadata, backbone: BackboneOptions
) -> None:
  """Raises ConfigError if the file says that it is of another network."""
  try:
    stated = json.loads(metadata.get("model", ""))
  except ValueError:  # not written by `export`
    return
  own, defaults = backbone.architecture(), backbone.defaults()
  for field in sorted(stated.keys() | own.keys()):
    here, there = (one.get(field, defaults.get(field)) for one in (own, stated))
    if here != there:
      raise ConfigError(
        f"config.model.{field} is {here!r}, but {path} is of a network with "
        f"{there!r}: set --config.model.{field}"
      )


def _format(
  path: str,
) -> tuple[
  Callable[[str], tuple[Arrays, Metadata]],
  Callable[[pathlib.Path, Arrays, Metadata], None],
]:
  """How to read and write a file of this extension.

  Raises:
    ConfigError: If there is no such format, or PyTorch is missing.
  """
  suffix = pathlib.Path(path).suffix
  choose(f"extension of {path}", suffix, (_SAFETENSORS, *_TORCH))
  if suffix == _SAFETENSORS:
    return _read_safetensors, _write_safetensors
  try:
    from hdc_jax.convert import torch_files
  except ModuleNotFoundError as error:
    raise ConfigError(
      f"{path}: PyTorch is needed for {suffix} files: "
      "pip install torch, or use .safetensors"
    ) from error
  return torch_files.read, torch_files.write


def _read_safetensors(path: str) -> tuple[Arrays, Metadata]:
  try:
    with safetensors.safe_open(path, "np") as file:
      metadata = file.metadata() or {}
    return safetensors.numpy.load_file(path), metadata
  except (OSError, safetensors.SafetensorError) as error:
    raise DataError(f"{path} cannot be read: {error}") from error


def _write_safetensors(
  path: pathlib.Path, arrays: Arrays, metadata: Metadata
) -> None:
  safetensors.numpy.save_file(arrays, path, metadata)


def _parse(
  argv: Sequence[str] | None,
) -> tuple[argparse.Namespace, Sequence[str]]:
  """The options, and what is left: fields of the config."""
  parser = argparse.ArgumentParser(
    prog="python -m hdc_jax.convert",
    description=__doc__,
    epilog=_HELP,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "--debug", action="store_true", help="show a traceback with an error"
  )
  commands = parser.add_subparsers(required=True, metavar="export|import")

  export = _add_command(commands, "export", _export, "a run's encoder → a file")
  export.add_argument(
    "--checkpoint",
    metavar="RUN",
    required=True,
    help="a run, or one step in it: RUN/checkpoints/N",
  )
  export.add_argument(
    "--output", metavar="FILE", required=True, help="the file to write"
  )
  export.add_argument(
    "--layout",
    choices=sorted({layout.name for layout in layouts.LAYOUTS}),
    help="whose names the weights get; default: those that "
    "hdc_jax/interop/encoders.py has",
  )

  import_ = _add_command(
    commands, "import", _import, "a file's encoder → a run"
  )
  import_.add_argument(
    "--weights", metavar="FILE", required=True, help="the file to read"
  )
  import_.add_argument(
    "--output", metavar="RUN", required=True, help="the run to write"
  )
  flags.add_config(import_)
  return parser.parse_known_args(argv)


def _add_command(
  commands: Any, name: str, run: Callable[..., None], summary: str
) -> argparse.ArgumentParser:
  parser = commands.add_parser(
    name, help=summary, description=summary, allow_abbrev=False
  )
  parser.set_defaults(run=run)
  return parser
