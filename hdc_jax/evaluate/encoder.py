"""A trained backbone that encodes videos: the API of `hdc_jax.load`."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from hdc_jax.augment import geometry
from hdc_jax.data.clips import evaluation_clips
from hdc_jax.data.clips.single import SingleVideos, Video, is_single
from hdc_jax.data.clips.training_clips import Batch
from hdc_jax.data.options import Clips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import features, pretrained, timed_features, vectors
from hdc_jax.evaluate.features import Features
from hdc_jax.evaluate.timed_features import TimedFeatures
from hdc_jax.models import BackboneOptions


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
  """A trained backbone, with the length and size of its training clips.

  Attributes:
    backbone: Options of the backbone.
    variables: Its variables: 'params' and 'batch_stats'.
    clips: Which frames make a clip.
  """

  backbone: BackboneOptions
  variables: Any
  clips: Clips

  @property
  def endpoints(self) -> dict[str, tuple[int, int, int, int]]:
    """The shape of each endpoint of one clip, by name: T', H', W' and C."""
    size = self.backbone.size
    clip = jax.ShapeDtypeStruct((1, self.clips.frames, size, size, 3), "f4")
    apply = self.backbone.make().apply
    outputs: Any = jax.eval_shape(apply, self.variables, clip)
    return {name: output.shape[1:] for name, output in outputs.items()}

  def embed(
    self,
    videos: Video | Iterable[Video],
    *,
    clips: int = 10,
    average: bool = True,
    endpoint: str = "block5",
    pool: str = "average",
    fps: float = 0.0,
    batch_size: int = 8,
  ) -> np.ndarray:
    """Encodes evenly spread clips of videos, in their centre crops.

    Task `embed` computes the same for whole datasets, on all devices.

    Args:
      videos: A video, or several: paths of files of any format that FFmpeg
        reads, or arrays of RGB, uint8 [T, H, W, 3].
      clips: Number of clips of each video; 0 for as many as fit without
        overlap.
      average: Whether to average the features over the clips of a video.
      endpoint: The block whose output is pooled: 'block1' to 'block5'.
      pool: 'average' or 'max' over all positions, or 'cells', see
        `features.pool`.
      fps: Frames per second of arrays, where the clips of the encoder are
        placed by time (`config.data.fps`).
      batch_size: Number of clips that are encoded together.

    Returns:
      Features, float32 [videos, D], or [videos, clips, D] without the average.
      Those of a single video have no first axis.

    Raises:
      ConfigError: If an argument is wrong.
      DataError: If a video cannot be decoded.
    """
    single = is_single(videos)
    listed: Any = [videos] if single else list(videos)  # pyrefly: ignore
    if not listed:
      raise ConfigError("videos: there are none: name at least one")
    if not (average or clips):
      raise ConfigError(
        "average=False needs the same number of clips of every video, but "
        "clips=0 is as many as fit: name a number"
      )
    cutting = SingleVideos(self.clips, self.backbone.size, fps)
    counts: list[int] = []

    def cut() -> Iterator[Batch]:
      for video in listed:
        batch = cutting.spread(video, clips)
        counts.append(len(batch["y"]))
        yield batch

    wanted = Features(endpoint=endpoint, pool=pool)
    encoded = [chunk for _, chunk in self._encode(cut(), wanted, batch_size)]
    rows = np.split(np.concatenate(encoded), np.cumsum(counts)[:-1])
    if average:
      rows = [row.mean(axis=0, dtype=np.float64) for row in rows]
    result = np.stack(rows).astype(np.float32)
    return result[0] if single else result

  def dense(
    self,
    video: Video,
    *,
    every: float = 0.0,
    endpoint: str = "block5",
    pool: str = "average",
    fps: float = 0.0,
    batch_size: int = 8,
  ) -> TimedFeatures:
    """Encodes windows that slide over a video of any length.

    A window has the frames of a clip. All windows that end within the video are
    encoded; a video that is shorter than a window has one, in which it loops.

    Args:
      video: See `embed`.
      every: Seconds from the beginning of a window to that of the next, at
        least a frame; 0: each begins where the one before ends.
      endpoint: See `embed`.
      pool: See `embed`.
      fps: Frames per second of an array.
      batch_size: Number of windows that are encoded together.

    Returns:
      The times of N windows in seconds, and their features, float32 [N, D].

    Raises:
      ConfigError: If an argument is wrong.
      DataError: If the video cannot be decoded.
    """
    wanted = Features(endpoint=endpoint, pool=pool)
    chunks = self._slide(video, every, wanted, fps, batch_size)
    return TimedFeatures(*map(np.concatenate, zip(*chunks, strict=True)))

  def write_dense(
    self,
    video: Video,
    output: str | os.PathLike[str],
    *,
    every: float = 0.0,
    endpoint: str = "block5",
    pool: str = "average",
    fps: float = 0.0,
    batch_size: int = 8,
  ) -> int:
    """Encodes windows of a video as `dense` does, into a file.

    Windows are decoded, encoded and written as a stream, so that the memory
    does not depend on the length of the video.

    Args:
      video: See `embed`.
      output: The file, which exists whole or not at all: .npz, with the arrays
        `start`, `end` and `features` of `TimedFeatures`; or .parquet, with
        columns of these names and a row for each window (`pip install
        pyarrow`).
      every: See `dense`.
      endpoint: See `embed`.
      pool: See `embed`.
      fps: See `dense`.
      batch_size: See `dense`.

    Returns:
      The number of windows.

    Raises:
      ConfigError: If an argument is wrong.
      DataError: If the video cannot be decoded.
    """
    write = timed_features.writer_of(output)
    wanted = Features(endpoint=endpoint, pool=pool)
    return write(output, self._slide(video, every, wanted, fps, batch_size))

  def _slide(
    self,
    video: Video,
    every: float,
    wanted: Features,
    fps: float,
    batch_size: int,
  ) -> Iterator[TimedFeatures]:
    """Encodes the windows of a video in chunks, as they are decoded."""
    cutting = SingleVideos(self.clips, self.backbone.size, fps)
    windows = cutting.slide(video, every)
    for batch, encoded in self._encode(windows, wanted, batch_size):
      yield TimedFeatures(batch["start"], batch["end"], encoded)

  def _encode(
    self, clips: Iterator[Batch], wanted: Features, batch_size: int
  ) -> Iterator[tuple[Batch, np.ndarray]]:
    """Encodes clips in batches of one size.

    Args:
      clips: Arrays by name, [n, …]: 'y', 'uv' and others.
      wanted: The features.
      batch_size: Number of clips of a batch.

    Yields:
      The other arrays of each batch, and its features, float32 [n, D].
    """
    if batch_size < 1:
      raise ConfigError(f"batch_size={batch_size} must be at least 1")
    encode = self._compile(wanted)
    pending = None
    for batch in evaluation_clips.rebatch(clips, batch_size):
      encoded = encode(self.variables, batch.pop("y"), batch.pop("uv"))
      # Fetched one batch late, so that the device never waits for the host.
      if pending is not None:
        yield _real(*pending)
      pending = batch, encoded
    if pending is not None:
      yield _real(*pending)

  @functools.cache  # noqa: B019 - as long as the encoder, which has the weights
  def _compile(self, wanted: Features) -> Any:
    """Compiles the function of weights and planes of clips to features."""
    describe = features.make_describe(self.backbone, wanted)
    view = features.centre_view(self.backbone.size)

    def show(y: jax.Array, uv: jax.Array) -> jax.Array:
      return view(jax.random.key(0), geometry.Canvas(y, uv))

    @jax.jit
    def encode(variables: Any, y: jax.Array, uv: jax.Array) -> jax.Array:
      return describe(variables, jax.vmap(show)(y, uv))

    return encode


def _real(batch: Batch, encoded: jax.Array) -> tuple[Batch, np.ndarray]:
  """Takes the padding out of a batch and of its features, which are checked."""
  mask = batch["mask"]
  kept = {name: array[mask] for name, array in batch.items()}
  rows = jax.device_get(encoded)[mask]
  vectors.check_finite("clip", rows)
  return kept, rows


def load(run: str | os.PathLike[str]) -> Encoder:
  """Loads the backbone of a run, with which to encode videos.

  Args:
    run: Directory of a run (its newest checkpoint is meant), or one step in it:
      RUN/checkpoints/N or RUN/checkpoints/best.

  Raises:
    DataError: If there is no checkpoint, or if it is damaged.
  """
  loaded = pretrained.load(os.fspath(run), mesh_lib.make_mesh(devices=1))
  clips = Clips.from_values(loaded.config["data"])
  return Encoder(loaded.backbone, loaded.variables, clips)
