"""The tables of the HDC paper (arXiv 2011.11261), as data.

The config describes the full model: HD-NCE at blocks 3, 4 and 5 with weights
0.25, 0.5 and 1. The pretraining of every row is given by its differences from
that. Published values are percentages.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """An evaluation of every row of a table.

  Attributes:
    name: Name of the directory of its runs.
    task: Name of the task.
    dataset: Field of the table's config that has the path of the dataset.
    changes: Values in the config of the task, by dotted field.
    columns: Column of the table → column of the task's result.
  """

  name: str
  task: str
  dataset: str
  changes: Mapping[str, Any]
  columns: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of a table: a model.

  Attributes:
    name: Name of the model, the same in all tables.
    changes: Values in the config of its pretraining, by dotted field.
    published: Percentages of the paper, by column.
    pretrained: Whether the model is pretrained; else it is evaluated from
      random weights.
  """

  name: str
  changes: Mapping[str, Any]
  published: Mapping[str, float]
  pretrained: bool = True


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of the paper.

  Attributes:
    title: Title of the table.
    evaluations: The evaluations of each row.
    rows: The rows, in the order of the paper.
  """

  title: str
  evaluations: Sequence[Evaluation]
  rows: Sequence[Row]


_SPLIT1 = Evaluation(
  "ucf101-split1", "finetune", "ucf101", {"data.folds": (1,)}, {"top1": "top1"}
)


def _contrasts(*names: str, **weights: float) -> dict[str, Any]:
  """The fields of HDC's contrasts, with the weight of each block: block5=1.0.

  Args:
    *names: Names of the contrasts.
    **weights: Weights by name of the block.
  """
  return {
    "method.contrasts": names,
    "method.blocks": tuple(int(block[-1]) for block in weights),
    "method.weights": tuple(weights.values()),
  }


_BOTH = ("spatial", "temporal")

_LOSSES = Table(
  "fine-tuning on split 1 of UCF101, by the loss of the pretraining",
  (_SPLIT1,),
  (
    Row("scratch", {}, {"top1": 43.5}, pretrained=False),
    Row("sc@5", _contrasts("spatial", block5=1.0), {"top1": 61.3}),
    Row("tc@5", _contrasts("temporal", block5=1.0), {"top1": 62.7}),
    Row("sc+tc@5", _contrasts(*_BOTH, block5=1.0), {"top1": 65.5}),
    Row(
      "sc+tc@45-even",
      _contrasts(*_BOTH, block4=1.0, block5=1.0),
      {"top1": 66.9},
    ),
    Row("sc+tc@45", _contrasts(*_BOTH, block4=0.5, block5=1.0), {"top1": 67.8}),
    Row(
      "sc+tc@345-even",
      _contrasts(*_BOTH, block3=1.0, block4=1.0, block5=1.0),
      {"top1": 66.8},
    ),
    Row("full", {}, {"top1": 69.0}),
  ),
)

_NO_JITTER = {"augment.jitter.probability": 0.0}
_NO_REPLICATION = {"augment.replication.probability": 0.0}

_AUGMENTATIONS = Table(
  "fine-tuning on split 1 of UCF101, without some of the augmentations",
  (_SPLIT1,),
  (
    Row("full", {}, {"top1": 69.0}),
    Row("no-jitter", _NO_JITTER, {"top1": 65.4}),
    Row("no-replication", _NO_REPLICATION, {"top1": 61.0}),
    Row("no-colour", _NO_JITTER | _NO_REPLICATION, {"top1": 49.4}),
    Row("no-flip", {"augment.flip": 0.0}, {"top1": 68.0}),
    # Choice: random crops of one size, 112 of 128 pixels. At scale 1 all views
    # of a clip would show the same region of it.
    Row("no-scales", {"augment.scales": (0.875,)}, {"top1": 64.7}),
  ),
)

# Choice: HDC† decays its learning rate more slowly, and the paper does not say
# by how much; this is a tenth of the usual decay.
_SLOW = {"optim.decay": 1e-5}

_BACKBONES = Table(
  "fine-tuning, mean of three splits, by backbone and decay",
  tuple(
    Evaluation(dataset, "finetune", dataset, {}, {dataset: "top1"})
    for dataset in ("ucf101", "hmdb51")
  ),
  tuple(
    Row(
      f"{model}{mark}",
      {"model.name": model} | changes,
      {"ucf101": ucf101, "hmdb51": hmdb51},
    )
    for model, mark, changes, ucf101, hmdb51 in (
      ("r3d18", "", {}, 68.5, 38.1),
      ("r3d18", "-slow", _SLOW, 69.8, 38.4),
      ("c3d", "", {}, 72.3, 39.3),
      ("c3d", "-slow", _SLOW, 73.1, 39.5),
      ("r2plus1d10", "", {}, 76.2, 39.8),
      ("r2plus1d10", "-slow", _SLOW, 76.8, 40.0),
    )
  ),
)

_CUTOFFS = (1, 5, 10, 20, 50)


def _retrieval(title: str, dataset: str, *c3d: float) -> Table:
  """A table of retrieval, for which the paper has values of C3D alone.

  Args:
    title: Name of the dataset in the title.
    dataset: Field of the table's config that has the path of the dataset.
    *c3d: Percentages of the paper for C3D, by `_CUTOFFS`.
  """
  columns = [f"top{k}" for k in _CUTOFFS]
  published = {"c3d": dict(zip(columns, c3d, strict=True))}
  return Table(
    f"retrieval on split 1 of {title}",
    (
      Evaluation(
        f"{dataset}-retrieval",
        "retrieve",
        dataset,
        {"data.folds": (1,), "retrieve.topk": _CUTOFFS},
        {column: column for column in columns},
      ),
    ),
    tuple(
      Row(model, {"model.name": model}, published.get(model, {}))
      for model in ("c3d", "r3d18", "r2plus1d10")
    ),
  )


TABLES = {
  1: _LOSSES,
  2: _AUGMENTATIONS,
  3: _BACKBONES,
  4: _retrieval("UCF101", "ucf101", 33.9, 49.6, 55.7, 61.6, 69.9),
  5: _retrieval("HMDB51", "hmdb51", 14.6, 28.8, 36.1, 44.8, 57.9),
}
