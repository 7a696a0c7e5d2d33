"""What a runner is given to do."""

import dataclasses
from collections.abc import Sequence

from hdc_jax.prepare.shards import Plan


@dataclasses.dataclass(frozen=True)
class Job:
  """Shards to make.

  Attributes:
    directory: of the dataset, on a disk or in a bucket.
    plans: of the shards that are not finished, in order.
    codec: of the records, see `codec.CODECS`.
    short_side: of the frames, in pixels.
    workers: processes of the local runner.
    runner: its name, see `RUNNERS`.
    runner_options: for Beam, as on its command lines.
  """

  directory: str
  plans: Sequence[Plan]
  codec: str
  short_side: int
  workers: int
  runner: str
  runner_options: Sequence[str]
