"""The datasets that `prepare` knows, by name.

Each is a function from a `Request` (the options of `prepare`) to a `Listing`
(its videos with labels and splits). A new dataset is a new file here and a line
in `DATASETS`. A folder of videos that is read without preparing it is in
`unprepared`.
"""

import textwrap

from hdc_jax.data.datasets import (
  charades,
  diving48,
  finegym,
  folder,
  hmdb51,
  jester,
  kinetics,
  ssv2,
  synthetic,
  table,
  ucf101,
)
from hdc_jax.data.datasets.base import Dataset, Listing, Request, VideoFile

__all__ = ["DATASETS", "Dataset", "Listing", "Request", "VideoFile", "layouts"]

DATASETS: dict[str, Dataset] = {
  "folder": folder.DATASET,
  "table": table.DATASET,
  "synthetic": synthetic.DATASET,
  "ucf101": ucf101.DATASET,
  "hmdb51": hmdb51.DATASET,
  **kinetics.DATASETS,
  "ssv2": ssv2.DATASET,
  "diving48": diving48.DATASET,
  **finegym.DATASETS,
  "jester": jester.DATASET,
  "charades": charades.DATASET,
}


def layouts() -> str:
  """Describes the files that each dataset expects, for --help.

  Returns:
    The names and the layout of each dataset, indented; datasets of the same
    layout are described once.
  """
  names_of: dict[str, list[str]] = {}
  for name, dataset in DATASETS.items():
    names_of.setdefault(dataset.layout, []).append(name)
  return "".join(
    f"  {', '.join(names)}\n{textwrap.indent(layout, '    ')}"
    for layout, names in names_of.items()
  )
