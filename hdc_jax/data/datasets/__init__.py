"""Datasets that `prepare` knows, by name.

Each lists its videos: `Request` → `Listing`. A new dataset is a new file here
and a line in `DATASETS`.
"""

from collections.abc import Callable

from hdc_jax.data.datasets import folder, synthetic
from hdc_jax.data.datasets.base import Listing, Request, VideoFile

__all__ = ["DATASETS", "Listing", "Request", "VideoFile"]

DATASETS: dict[str, Callable[[Request], Listing]] = {
  "folder": folder.list_videos,
  "synthetic": synthetic.list_videos,
}
