"""Options of section `data`, and of those sections that choose test videos."""

import dataclasses

from hdc_jax.data import lanes, mixtures
from hdc_jax.errors import ConfigError
from hdc_jax.options import Options, option

# Longest clip: a larger number of frames is most likely a mistyped one.
MAX_FRAMES = 256

_PATH = "What `hdc_jax.prepare` wrote, or a directory of videos."
_NO_PATH = (
  "name what `python -m hdc_jax.prepare` wrote, or a directory of videos"
)


def access_option() -> str:
  """Declares how videos are read, see `Dataset`."""
  return option(
    "copy",
    "How a prepared dataset is read: copy (a host copies what it needs out of "
    "a bucket, and compares checksums) or stream (nothing is copied or "
    "compared; a clip reads its part of a video where it is, on a mount or in "
    "a bucket).",
    choices=("copy", "stream"),
    before="copy",
  )


@dataclasses.dataclass(frozen=True)
class Dataset(Options, section="data"):
  """Where the videos are."""

  path: str = option(
    "",
    _PATH,
    required=_NO_PATH,
  )
  cache: str = option(
    "~/.cache/hdc_jax",
    "Where each host keeps its copy of a dataset in a bucket (gs://, s3://).",
    required="name a directory",
  )
  access: str = access_option()

  def check(self) -> None:
    """Checks that one dataset is named."""
    if len(mixtures.paths(self.path)) > 1:
      raise ConfigError(
        f"config.data.path={self.path} is a mixture, from which networks are "
        "pretrained: name one dataset to evaluate on"
      )


@dataclasses.dataclass(frozen=True)
class Learnable(Dataset, section="data"):
  """Where the videos are from which a network is pretrained."""

  path: str = option(
    "",
    f"{_PATH[:-1]}; or several with weights, of which every batch has fixed "
    "shares: DIR:0.7,DIR:0.3.",
    required=_NO_PATH,
  )

  def check(self) -> None:
    """Checks that a mixture has weights."""
    mixtures.parse(self.path)


@dataclasses.dataclass(frozen=True)
class Clips(Options, section="data"):
  """Which frames make a clip, and how large they are."""

  frames: int = option(16, "Frames per clip.", at_least=1, at_most=MAX_FRAMES)
  stride: int = option(
    1,
    "Source frames from one frame of a clip to the next.",
    at_least=1,
    when=("fps", (0.0,)),
  )
  fps: float = option(
    0.0,
    "Frames per second of a clip, so that videos of all frame rates give "
    "equally long clips: frame i is the source's nearest to its time, and a "
    "slow source repeats frames; 0: by stride.",
    at_least=0,
    before=0.0,
  )
  canvas: int = option(
    0,
    "Side in pixels of the square that the host cuts out of each frame, at a "
    "random place; a side of the frame that is shorter is kept whole, and "
    "padded. 0: as large as data.part needs, whatever the size of the "
    "dataset's frames.",
    at_least=0,
    multiple_of=2,
  )
  part: str = option(
    "square",
    "Part of a frame that training clips are cropped from: square (of its "
    "short side, at a random place) or frame (all of it; of frames wider than "
    "16:9 or higher than 9:16, so much, at a random place).",
    choices=("square", "frame"),
    when=("canvas", (0,)),
  )


@dataclasses.dataclass(frozen=True)
class Loading(Options, section="data"):
  """Who decodes videos on each host."""

  threads: int = option(
    16, "Threads per process that decode videos, at most.", at_least=1
  )
  workers: int = option(
    0, "Extra processes that decode videos on each host.", at_least=0
  )


@dataclasses.dataclass(frozen=True)
class Learned(Options, section="data"):
  """Which videos to learn from."""

  split: str = option(
    "train", "Split to learn from.", required="name a split of the dataset"
  )


@dataclasses.dataclass(frozen=True)
class Batches(Options, section="data"):
  """How many videos a step takes, and how many of them may be broken."""

  batch_size: int = option(
    128, "Videos per step, over all devices and hosts.", at_least=1
  )
  max_bad: float = option(
    0.01,
    "Fraction of the videos that may fail to decode. If more do, beyond chance "
    "(once in a million runs of a host), the run ends. 0: none may.",
    at_least=0,
    at_most=1,
  )


@dataclasses.dataclass(frozen=True)
class LanedBatches(Batches, section="data"):
  """How many videos a step of a pretraining takes, and from which shards."""

  lanes: int = option(
    1,
    "Equal parts of every batch, each drawn from shards of its own, so that a "
    "host needs only the shards of its lanes: a multiple of the number of "
    "processes that divides batch_size. 1: every batch is drawn from all "
    "videos.",
    at_least=1,
    before=1,
  )

  def check(self) -> None:
    """Checks that lanes are equal parts of a batch."""
    lanes.check_size(self.lanes, self.batch_size)


@dataclasses.dataclass(frozen=True)
class Folds(Options, section="data"):
  """Which splits and labels of a dataset to evaluate on."""

  split: str = option(
    "train",
    "Split to train on, or to search.",
    required="name a split of the dataset",
  )
  folds: tuple[int, ...] = option(
    (),
    "Numbers of the folds to average over, for a dataset that has several: 1 "
    "for train1 and test1; empty: all.",
    at_least=1,
  )
  labels: tuple[str, ...] = option(
    (), "Labels and tags of the dataset to evaluate by; empty: all."
  )


@dataclasses.dataclass(frozen=True)
class Tested(Options, section="test"):
  """Which videos to test on."""

  split: str = option(
    "test", "Split to test on.", required="name a split of the dataset"
  )


@dataclasses.dataclass(frozen=True)
class Searched(Tested):
  """Which videos are queries, and which are not searched for them."""

  exclude: str = option(
    "",
    "What is left out of the search besides the query's own video: group, for "
    "all videos of its group; empty: nothing.",
    choices=("", "group"),
  )


@dataclasses.dataclass(frozen=True)
class ShownClips(Options, section="test"):
  """Which clips of a video an evaluation sees, and how much of the frames."""

  clips: int = option(
    10,
    "Clips per video, evenly spread; 0: as many as fit without overlap.",
    at_least=0,
  )
  crops: str = option(
    "centre",
    "Crops per clip: centre, three (along the longer side) or five (centre and "
    "corners).",
    choices=("centre", "three", "five"),
  )
  size: int = option(
    0,
    "Height and width of the crops in pixels; 0: model.size.",
    at_least=0,
    multiple_of=2,
  )
  batch_size: int = option(
    32, "Crops of clips per step, over all devices and hosts.", at_least=1
  )
  max_bad: float = option(
    0.01,
    "Fraction of the videos that may be left out because they fail to decode. "
    "If more do, beyond chance (once in a million tests), the run ends. 0: "
    "none may.",
    at_least=0,
    at_most=1,
    before=0.01,  # Runs of versions that ended at any such video had none.
  )


@dataclasses.dataclass(frozen=True)
class Subset(Options, section="subset"):
  """How many of the labelled videos to learn from."""

  fraction: float = option(
    1.0,
    "Fraction of the videos of each class that is used: 0.01 or 0.1 for "
    "semi-supervised learning.",
    above=0,
    at_most=1,
  )
  shots: int = option(
    0,
    "Videos of each class, for few-shot learning; 0: take the fraction.",
    at_least=0,
  )
  draws: int = option(1, "Subsets to draw, and to average over.", at_least=1)

  @property
  def whole(self) -> bool:
    """Whether nothing is left out."""
    return self.fraction == 1.0 and not self.shots

  def check(self) -> None:
    """Checks that there is one kind of subset, and something to draw."""
    if self.shots and self.fraction != 1.0:
      raise ConfigError(
        f"config.subset.fraction={self.fraction} and config.subset.shots="
        f"{self.shots} exclude each other: set one"
      )
    if self.whole and self.draws > 1:
      raise ConfigError(
        f"config.subset.draws={self.draws}: more than one needs random "
        "subsets, by config.subset.fraction below 1 or config.subset.shots"
      )
