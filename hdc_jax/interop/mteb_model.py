"""An encoder of hdc_jax as a model of mteb, the embedding benchmark.

  import mteb
  import hdc_jax
  from hdc_jax.interop.mteb_model import VideoModel

  model = VideoModel(hdc_jax.load("runs/first"), "my-lab/first")
  result = mteb.evaluate(model, mteb.get_task("UCF101VideoClustering"))

The videos are decoded as everywhere in hdc_jax, so that neither torchcodec nor
a GPU for PyTorch is needed.
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from datasets import Video
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction

_VIDEO = "video"  # name of the column that mteb gives the videos


class _Encoder(Protocol):
  """What is needed of `hdc_jax.Encoder`."""

  def embed(self, videos: Any, **options: Any) -> np.ndarray: ...


class VideoModel(AbsEncoder):
  """A model of mteb, for its tasks whose only modality is video."""

  def __init__(
    self, encoder: _Encoder, name: str, revision: str = "1", **options: Any
  ) -> None:
    """Says what is evaluated, and under which name.

    Args:
      encoder: The encoder, as `hdc_jax.load` returns it.
      name: Name of the model, 'organisation/model'. mteb keeps results under
        it: give every encoder a name of its own, or a revision.
      revision: Revision of the model.
      **options: Arguments of `Encoder.embed`: `clips=4`, `endpoint="block4"`.
        mteb keeps the results of other options apart.
    """
    self.model = encoder
    self._options = options
    self.mteb_model_meta = ModelMeta.create_empty(
      {
        "name": name,
        "revision": revision,
        "modalities": [_VIDEO],
        "similarity_fn_name": ScoringFunction.COSINE,
        "experiment_kwargs": options or None,
      }
    )

  def encode(self, inputs: Any, **others: Any) -> np.ndarray:
    """Encodes videos.

    Args:
      inputs: A DataLoader, whose dataset has the videos in the column 'video',
        as files or as their bytes.
      **others: What mteb says of the task, without effect.

    Returns:
      Features, float32 [videos, D], in the order of the dataset.

    Raises:
      DataError: If a video cannot be decoded.
    """
    del others
    # Not decoded by datasets, which would need torchcodec.
    dataset = inputs.dataset.cast_column(_VIDEO, Video(decode=False))
    encoded = []
    for rows in dataset.iter(batch_size=inputs.batch_size):
      with tempfile.TemporaryDirectory(prefix="hdc_jax-") as folder:
        paths = [
          _as_file(video, pathlib.Path(folder, str(number)))
          for number, video in enumerate(rows[_VIDEO])
        ]
        encoded.append(self.model.embed(paths, **self._options))
    return np.concatenate(encoded)


def _as_file(video: Mapping[str, Any], path: pathlib.Path) -> str:
  """The file of a video, which is written if the dataset has its bytes."""
  if video["bytes"] is None:
    return video["path"]
  path.write_bytes(video["bytes"])
  return str(path)
