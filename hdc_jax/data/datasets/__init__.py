"""Datasets that `prepare` knows, by name.

Each lists its videos: `Request` → `Listing`. A new dataset is a new file here
and a line in `DATASETS`.
"""

import textwrap

from hdc_jax.data.datasets import folder, hmdb51, kinetics, synthetic, ucf101
from hdc_jax.data.datasets.base import Dataset, Listing, Request, VideoFile

__all__ = ["DATASETS", "Dataset", "Listing", "Request", "VideoFile", "layouts"]

DATASETS: dict[str, Dataset] = {
  "folder": folder.DATASET,
  "synthetic": synthetic.DATASET,
  "ucf101": ucf101.DATASET,
  "hmdb51": hmdb51.DATASET,
  **kinetics.DATASETS,
}


def layouts() -> str:
  """What each dataset expects on disk; those that expect the same together."""
  names: dict[str, list[str]] = {}
  for name, dataset in DATASETS.items():
    names.setdefault(dataset.layout, []).append(name)
  return "".join(
    f"  {', '.join(alike)}\n{textwrap.indent(layout, '    ')}"
    for layout, alike in names.items()
  )
