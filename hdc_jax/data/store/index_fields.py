"""Checks the fields of an index before anything relies on them."""

import re
from typing import Any

from hdc_jax.data.store import kinds

# The fields of an index, and those that earlier versions did not write; see
# `kinds`.
_REQUIRED = {
  "fingerprint": str,
  "request": str,
  "codec": str,
  "short_side": int,
  "num_videos": int,
  "num_frames": None,
  "labels": {str: [str]},
  "splits": {str: [(int, int)]},
  "shards": [{str: None}],
  "skipped": [{str: str}],
}
_OPTIONAL = {
  "official": {str: int},
  "left_out": {str: int},
  "tags": {str: [str]},
  "groups": int,
  "generated": {str: None},
}
OF_SHARD = {
  "name": str,
  "videos": int,
  "records": int,
  "bytes": int,
  "sha256": str,
}
# In version 1, a shard has as many records as videos.
_OF_SHARD = {
  1: {name: kind for name, kind in OF_SHARD.items() if name != "records"},
  2: OF_SHARD,
  3: OF_SHARD,
}
# Names that lead into no other directory.
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def fault(fields: Any, version: int) -> str:
  """Says what is wrong with an index; '' if nothing is.

  Args:
    fields: The fields of an index without its version, as JSON has them.
    version: Its version, which is one that is read.
  """
  if misfit := kinds.misfit(fields, _REQUIRED, _OPTIONAL):
    return misfit
  if not (
    fields["num_frames"] is None or kinds.fits(fields["num_frames"], int)
  ):
    return "the field 'num_frames' is malformed"
  if not _NAME.fullmatch(fields["fingerprint"]):
    return "the field 'fingerprint' is malformed"
  if fields["short_side"] < 2:
    return f"the short side of its frames is {fields['short_side']}"
  if not all(
    {"id", "reason"} <= skipped.keys() for skipped in fields["skipped"]
  ):
    return "the field 'skipped' is malformed"
  for i, shard in enumerate(fields["shards"]):
    if misfit := kinds.misfit(shard, _OF_SHARD[version], {}):
      return f"shard {i}: {misfit}"
    if not _NAME.fullmatch(shard["name"]):
      return f"shard {i} has the name {shard['name'][:40]!r}"
    # No record is empty.
    records = shard.get("records", shard["videos"])
    if not 0 <= shard["videos"] <= records <= shard["bytes"]:
      return f"shard {i} has {shard['videos']} videos and {records} records"
  videos = fields["num_videos"]
  if videos != sum(shard["videos"] for shard in fields["shards"]):
    return f"the shards do not hold {videos} videos together"
  for name, ranges in fields["splits"].items():
    bounds = [bound for pair in ranges for bound in pair]
    if [0, *bounds, videos] != sorted([0, *bounds, videos]):
      return f"the split {name[:40]!r} is malformed"
  return ""
