"""Task `pretrain`: learns a backbone without labels."""

import logging
from typing import Any

import ml_collections

from hdc_jax import report
from hdc_jax.config import identity
from hdc_jax.data import sources
from hdc_jax.data.clips import cutting
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import require
from hdc_jax.runs import results
from hdc_jax.train import loop, training

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Pretrains until `train.steps`, from the newest checkpoint if there is one.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets checkpoints/, metrics.jsonl, tensorboard/, config.json,
      result.json and report.html.

  Returns:
    What result.json holds.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
    NonFiniteError: If the loss becomes NaN or infinite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  require("config.train.steps", config.train.steps, "how many?")
  require(
    "config.data.path",
    config.data.path,
    "name what `python -m hdc_jax.prepare` wrote, or a directory of videos",
  )
  mesh = mesh_lib.make_mesh()
  mesh_lib.check_batch_size(
    "config.data.batch_size", config.data.batch_size, mesh
  )
  made = training.make_trainer(config, mesh)
  source = sources.open(config.data.path, config.data.canvas, config.data.cache)
  cutting.check_clips(source.index.short_side, config.data, config.model.size)
  numbers = source.index.split(config.data.split)
  _, speed = loop.fit(config, workdir, made, source, numbers)
  if speed or not results.read_result(workdir):
    results.write_result(
      workdir,
      {
        "task": "pretrain",
        "steps": config.train.steps,
        "config_fingerprint": identity.fingerprint(config),
        "data_fingerprint": source.index.fingerprint,
        **speed,
      },
    )
  page = report.write(workdir, runs=[workdir])
  _log.info("report: %s", page)
  return results.read_result(workdir)
