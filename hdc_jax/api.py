"""What `import hdc_jax` offers: encode videos, prepare datasets, run tasks.

>>> import hdc_jax
>>> config = hdc_jax.default("retrieve", changes={"model.name": "c3d"})
>>> config.retrieve.topk
(1, 5, 10, 20, 50)
"""

import os
from typing import Any

import ml_collections
import numpy as np

from hdc_jax import tasks
from hdc_jax.config.recipes import default
from hdc_jax.evaluate.encoder import Encoder, load

__all__ = ["Encoder", "default", "encode", "load", "run"]


def encode(
  encoder: Encoder, video: str | os.PathLike[str], **how: Any
) -> np.ndarray:
  """Encodes evenly spread clips of a video file.

  Args:
    encoder: A backbone from `load`.
    video: Path of a video file, of any format that FFmpeg reads.
    **how: `clips`, `endpoint` and `pool`, see `Encoder.encode`.

  Returns:
    Features, float32 [clips, D].

  Raises:
    ConfigError: If there is no such endpoint or pooling.
    DataError: If the video cannot be decoded.
  """
  return encoder.encode(video, **how)


def run(
  config: ml_collections.ConfigDict, workdir: str | os.PathLike[str]
) -> dict[str, Any]:
  """Runs the task of a config, as `python -m hdc_jax.main` does.

  Args:
    config: A config from `default` or a config file.
    workdir: The run directory; a run that is there already is resumed.

  Returns:
    What the run's result.json holds.

  Raises:
    HdcError: A subclass of it, see `errors`, if something is wrong.
  """
  directory = os.fspath(workdir)
  tasks.resolve(config, directory)
  tasks.check_workdir(config, directory)
  return tasks.task_of(config).execute(config, directory)
