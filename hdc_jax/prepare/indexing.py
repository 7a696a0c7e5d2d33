"""The index of a prepared dataset, made from its finished shards."""

import collections
import dataclasses
import re
from collections.abc import Sequence

from etils import epath

from hdc_jax.data.datasets import discovery
from hdc_jax.data.datasets.base import Listing
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store import records
from hdc_jax.data.store.index import Index
from hdc_jax.prepare import shards
from hdc_jax.prepare.shards import Plan, Sidecar
from hdc_jax.runtime import files

# Files that are of no use once a dataset is made, unless its index names them.
_LEFT = re.compile(
  r"shard-\d{5}-of-\d{5}\.array_record|\.shard-.*\.tmp|\.unfinished"
)

# Reasons for which datasets leave files out; each has a file that lists them.
_REASONS = {
  *discovery.REASONS,
  "duplicates",
  "missing",
  "replaced",
  "unlisted",
}


def request_digest(plans: Sequence[Plan], listing: Listing) -> str:
  """Digest of all that a dataset was asked to be; see `Index.request`."""
  return index_lib.digest(
    [
      [[shard.name, shard.key] for shard in plans],
      listing.official,
      listing.left_out,
    ]
  )


def combine(
  sidecars: Sequence[Sidecar],
  *,
  request: str,
  codec: str,
  short_side: int,
  listing: Listing,
) -> Index:
  """Makes the index of a dataset of which every shard is finished.

  Args:
    sidecars: Sidecars of all shards, in order.
    request: Digest of the request, from `request_digest`.
    codec: Codec of the records.
    short_side: Short side of the frames, in pixels.
    listing: Listing of the videos that the shards were made of.

  Returns:
    The index, which is not saved yet.
  """
  splits: dict[str, shards.Ranges] = collections.defaultdict(list)
  first = 0
  for sidecar in sidecars:
    for split, ranges in sidecar.splits.items():
      for start, stop in ranges:
        shards.extend(splits[split], first + start, first + stop)
    first += sidecar.shard.videos
  skipped = [s for sidecar in sidecars for s in sidecar.skipped]
  labels = {name: list(names) for name, names in listing.label_names.items()}
  tags = {name: list(names) for name, names in listing.tag_names.items()}
  return Index(
    fingerprint=index_lib.digest(
      [
        records.VERSION,
        [sidecar.shard.sha256 for sidecar in sidecars],
        labels,
        splits,
        *([tags] if tags else []),
      ]
    ),
    request=request,
    codec=codec,
    short_side=short_side,
    num_videos=first,
    num_frames=sum(sidecar.num_frames for sidecar in sidecars),
    labels=labels,
    splits=dict(splits),
    shards=[sidecar.shard for sidecar in sidecars],
    skipped=[dataclasses.asdict(s) for s in skipped],
    official=listing.official,
    left_out={reason: len(ids) for reason, ids in listing.left_out.items()},
    tags=tags,
    groups=len({file.group for file in listing.videos if file.group}),
    generated=listing.generated,
  )


def remove_others(directory: epath.Path, index: Index) -> None:
  """Removes files of earlier requests, which the index does not name."""
  names = {shard.name for shard in index.shards}
  for name in files.list_names(directory):
    if _LEFT.fullmatch(name) and name not in names:
      files.remove(directory / name)
      files.remove(shards.sidecar_of(directory / name))
  for reason in _REASONS - set(index.left_out):
    files.remove(directory / f"{reason}.txt")
