"""The job of a runner."""

import dataclasses
from collections.abc import Sequence

from hdc_jax.prepare.shards import Plan


@dataclasses.dataclass(frozen=True)
class Job:
  """Shards that a runner is to make.

  Attributes:
    directory: Directory of the dataset, on a disk or in a bucket.
    plans: Plans of the shards, in order.
    codec: Codec of the records, one of `codec.CODECS`.
    short_side: Short side of the frames, in pixels.
    deinterlace: Whether to deinterlace the frames that are interlaced.
    segment: Length of the parts into which long videos are cut, in seconds; 0
      for none.
    workers: Number of processes of the local runner.
    runner: Name of the runner, one of `RUNNERS`.
    runner_options: Arguments of a Beam runner, as on Beam's command lines.
  """

  directory: str
  plans: Sequence[Plan]
  codec: str
  short_side: int
  deinterlace: bool
  segment: float
  workers: int
  runner: str
  runner_options: Sequence[str]

  @property
  def settings(self) -> tuple[str, int, bool, float]:
    """The arguments of `videos.prepare_video` besides the file."""
    return self.codec, self.short_side, self.deinterlace, self.segment
