"""What is measured: datasets, rows, factors and seeds, as data.

A study trains every row with every seed on every variant. All of its runs have
equal steps, batches and data, so that rows differ in what they contrast and in
nothing else. The hypotheses stand here, before the runs that test them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

Fields = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
  """What a network is trained with.

  Attributes:
    method: Name of the method; '' if the network is trained with labels.
    changes: Fields that differ from the recipe of the method in the config
      file, by dotted name.
    label: The label with which the network is trained; '' if none.
  """

  method: str
  changes: Fields = dataclasses.field(default_factory=dict)
  label: str = ""


def _hdc(
  contrasts: Sequence[str],
  blocks: Sequence[int] = (5,),
  weights: Sequence[float] | None = None,
) -> Row:
  """HDC with some of its terms; the weights are even unless they are given."""
  weights = weights or (1.0,) * len(blocks)
  return Row(
    "hdc",
    {
      "method.contrasts": tuple(contrasts),
      "method.blocks": tuple(blocks),
      "method.weights": tuple(weights),
    },
  )


def _supervised(label: str) -> Row:
  """A network that is trained with a label, at the rate that learns it."""
  return Row("", {"optim.lr": 0.003}, label)


_BOTH = ("spatial", "temporal")

ROWS: Mapping[str, Row] = {
  "sc@5": _hdc(("spatial",)),
  "tc@5": _hdc(("temporal",)),
  "sc+tc@5": _hdc(_BOTH),
  "sc+tc@345": _hdc(_BOTH, (3, 4, 5)),
  "hdc": Row("hdc"),
  "cvrl": Row("cvrl"),
  "dsm": Row("dsm"),
  "motion labels": _supervised("motion"),
  "scene labels": _supervised("scene"),
}
_CONTRASTS = ("sc@5", "tc@5")
_UNLABELLED = ("sc@5", "tc@5", "sc+tc@5", "sc+tc@345", "hdc", "cvrl", "dsm")


@dataclasses.dataclass(frozen=True)
class Variant:
  """What is the same in all rows of a part of a study.

  Attributes:
    prepare: Further arguments of `prepare`.
    changes: Fields of the config, by dotted name.
  """

  prepare: Sequence[str] = ()
  changes: Fields = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Study:
  """Rows, variants and seeds that are trained on one dataset.

  Attributes:
    title: What it is called on the page.
    videos: What its videos are, within a sentence.
    hypothesis: What the paper leads one to expect, in a sentence or two.
    prepare: Arguments of `prepare`; empty for UT-Interaction, whose table is
      made from the names of its files.
    motion: The label that only motion tells.
    scene: The label that a single frame tells.
    rows: Names of rows, see `ROWS`.
    seeds: Seeds of the pretraining.
    changes: Fields of the config, by dotted name.
    variants: Parts of the study, by name.
    group: Whether the neighbours of a query are of other groups.
    pictured: Rows whose nearest neighbours by motion are drawn, for the first
      seed. Those of real videos are not, as they may not be published.
  """

  title: str
  videos: str
  hypothesis: str
  prepare: Sequence[str]
  motion: str
  scene: str
  rows: Sequence[str]
  seeds: Sequence[int]
  changes: Fields
  variants: Mapping[str, Variant] = dataclasses.field(
    default_factory=lambda: {"": Variant()}
  )
  group: bool = False
  pictured: Sequence[str] = ()


_CAMERA = ("--dataset=synthetic", "--world=camera", "--short_side=48")
# A network that learns in minutes on two cores. Eight frames at stride 2 span
# a whole period of the camera's motion. The rate is that of an earlier trial,
# in which HDC learned motion. HDC's loss after 300 steps (seed 0) is 12.00 at a
# rate of 0.003, 11.87 at 0.01, 11.77 at 0.03 and 11.65 at 0.1.
_SMALL: Fields = {
  "data.frames": 8,
  "data.stride": 2,
  "data.batch_size": 32,
  "data.canvas": 0,
  "model.size": 32,
  "model.width": 16,
  "optim.lr": 0.03,
  "train.steps": 1000,
}
# Half as long, for the studies of many variants.
_SHORT: Fields = {**_SMALL, "train.steps": 500}
_UNCHANGED = "unchanged"
_FACTORS: Mapping[str, Fields] = {
  _UNCHANGED: {},
  "1,000 steps": {"train.steps": 1000},
  "batches of 64": {"data.batch_size": 64},
  "16 frames": {"data.frames": 16, "data.stride": 1},
  "stride 1": {"data.stride": 1},
  "no colour": {"augment.jitter.probability": 0.0},
  "rate 0.01": {"optim.lr": 0.01},
  "temperature 0.2": {"method.temperature": 0.2},
}

STUDIES: Mapping[str, Study] = {
  "made": Study(
    title="Generated videos",
    videos="generated videos",
    hypothesis="Spatial contrast learns the scene, temporal contrast the "
    "motion, and both together learn both.",
    prepare=(*_CAMERA, "--videos=1000"),
    motion="motion",
    scene="scene",
    rows=(*_UNLABELLED, "motion labels", "scene labels"),
    seeds=range(5),
    changes=_SMALL,
    pictured=("sc@5", "tc@5", "hdc"),
  ),
  "premise": Study(
    title="The premise of the generated videos",
    videos="generated videos",
    hypothesis="The less scene two clips of a video share, the more motion "
    "temporal contrast learns; the more a trajectory identifies its video, the "
    "more motion spatial contrast learns.",
    prepare=(*_CAMERA, "--videos=1000"),
    motion="motion",
    scene="scene",
    rows=_CONTRASTS,
    seeds=range(2),
    changes=_SHORT,
    variants={_UNCHANGED: Variant()}
    | {
      f"{knob.replace('_', ' ')} {value:g}": Variant((f"--{knob}={value}",))
      for knob, values in {
        "shared_scene": (0.5, 1.0),
        "identity": (1.0,),
        "moving": (0.0,),
      }.items()
      for value in values
    },
  ),
  "factors": Study(
    title="Factors of the recipe",
    videos="generated videos",
    hypothesis="Whether the contrasts decouple depends on the recipe: each "
    "factor is changed alone.",
    prepare=(*_CAMERA, "--videos=1000"),
    motion="motion",
    scene="scene",
    rows=_CONTRASTS,
    seeds=range(2),
    changes=_SHORT,
    variants={name: Variant((), fields) for name, fields in _FACTORS.items()},
  ),
  "demo": Study(
    title="The demo",
    videos="the demo's videos",
    hypothesis="In the steps of the demo, the network learns both the motion "
    "and the scene of the demo's videos, with every seed.",
    prepare=("--dataset=synthetic", "--short_side=64"),
    motion="motion",
    scene="scene",
    rows=("hdc",),
    seeds=range(3),
    changes={},
  ),
  "real": Study(
    title="UT-Interaction, real videos",
    videos="real videos",
    hypothesis="On UT-Interaction, temporal contrast is above spatial contrast "
    "on the action, below it on the scene, HDC is near the best on both, and "
    "all are above the untrained network on the action.",
    prepare=(),
    motion="action",
    scene="scene",
    rows=_UNLABELLED,
    seeds=range(5),
    # There are 120 videos: each is seen about a hundred times.
    changes={**_SMALL, "train.steps": 400},
    group=True,
  ),
}

# What the claim of the paper implies: by this label (`motion` or `scene` of the
# study), the first row is above the second.
CLAIMS: Sequence[tuple[str, str, str]] = (
  ("motion", "tc@5", "sc@5"),
  ("scene", "sc@5", "tc@5"),
  ("motion", "hdc", "sc@5"),
  ("scene", "hdc", "tc@5"),
  ("motion", "sc@5", "untrained"),
  ("motion", "tc@5", "untrained"),
  ("motion", "hdc", "untrained"),
  ("scene", "sc@5", "untrained"),
  ("scene", "tc@5", "untrained"),
  ("scene", "hdc", "untrained"),
)
