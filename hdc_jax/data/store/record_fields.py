"""Checks the fields of a record before anything relies on them."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from hdc_jax.data.store import chunks, kinds
from hdc_jax.data.store.chunks import Packets
from hdc_jax.data.video import h264
from hdc_jax.data.video.codec import CODECS
from hdc_jax.errors import DataError

# The fields of a record, see `kinds`.
_REQUIRED = {
  "version": int,
  "id": str,
  "labels": {str: [(int, int)]},
  "codec": str,
  "fps": float,
  "height": int,
  "width": int,
  "extradata": bytes,
}
# Those by which a version says where its frames are.
_FRAMES = {
  1: {"sizes": bytes, "keyframes": bytes, "packets": bytes},
  2: {"frames": int, "chunk_frames": int, "first_chunk": int},
}
_FRAMES[3] = _FRAMES[2]
_OPTIONAL = {"tags": {str: [int]}, "group": str}


def fault(fields: Any) -> str:
  """Says what is wrong with a record; '' if nothing is.

  Args:
    fields: The fields of a record of a version that is read.
  """
  required = _REQUIRED | _FRAMES[fields["version"]]
  if misfit := kinds.misfit(fields, required, _OPTIONAL):
    return misfit
  height, width = fields["height"], fields["width"]
  if fields["version"] == 1:
    frames, rest = divmod(len(fields["sizes"]), 4)
    if rest or not frames or len(fields["keyframes"]) != -(-frames // 8):
      return "the sizes of its frames are malformed"
  elif (
    fields["frames"] < 1
    or not 1 <= fields["chunk_frames"] <= chunks.MAX_CHUNK_FRAMES
    or fields["first_chunk"] < 0
  ):
    return "the numbers of its frames and chunks are malformed"
  if fields["codec"] not in CODECS:
    return f"its codec is {fields['codec'][:40]!r}"
  if height < 2 or width < 2 or height % 2 or width % 2:
    return f"its frames have {height}×{width} pixels"
  if height * width > h264.MAX_PIXELS:
    return f"its frames have {height}×{width} pixels, which are too many"
  for name, segments in fields["labels"].items():
    firsts = [first for first, _ in segments]
    increasing = all(a < b for a, b in itertools.pairwise(firsts))
    if firsts[:1] != [0] or not increasing or min(n for _, n in segments) < 0:
      return f"the label {name[:40]!r} is malformed"
  for name, classes in fields.get("tags", {}).items():
    if min(classes, default=0) < 0:
      return f"the tag {name[:40]!r} is malformed"
  return ""


def packets_of(fields: Mapping[str, Any]) -> Packets:
  """Reads the frames of a record of version 1.

  Args:
    fields: The fields of the record, without a `fault`.

  Raises:
    DataError: If packets are missing, or the first is not of a keyframe.
  """
  sizes = np.frombuffer(fields["sizes"], "<u4")
  offsets = chunks.offsets_of(sizes)
  bits = np.frombuffer(fields["keyframes"], np.uint8)
  keyframes = np.unpackbits(bits, count=len(sizes)).astype(bool)
  if offsets[-1] != len(fields["packets"]):
    raise DataError(f"the record of {fields['id']} is cut short")
  if not keyframes[0]:
    raise DataError(f"the record of {fields['id']} begins with no keyframe")
  none = np.zeros(len(sizes), bool)  # Nor are any frames disposable.
  return Packets(fields["packets"], offsets, keyframes, none)
