"""Datasets as version 1 of the format has them: a record holds its frames."""

import json

import msgpack
import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from hdc_jax.data.store.index import Shard

NAME = "shard-00000-of-00001.array_record"


def serialize(id, labels, encoded, **optional):
  """A record of version 1, by what its docs say."""
  return msgpack.packb(
    {
      "version": 1,
      "id": id,
      "labels": labels,
      "codec": encoded.codec,
      "fps": encoded.fps,
      "height": encoded.height,
      "width": encoded.width,
      "sizes": np.diff(encoded.offsets).astype("<u4").tobytes(),
      "keyframes": np.packbits(encoded.keyframes).tobytes(),
      "extradata": encoded.extradata,
      "packets": bytes(encoded.packets),
      **optional,
    }
  )


def write(directory, videos, short_side):
  """Writes a dataset of one shard.

  Args:
    directory: of the dataset.
    videos: `Encoded` by id.
    short_side: of the frames, in pixels.
  """
  path = str(directory / NAME)
  writer = ArrayRecordWriter(path, "group_size:1,uncompressed")
  for id, encoded in videos.items():
    writer.write(serialize(id, {}, encoded))
  writer.close()
  shard = vars(Shard.from_file(path, NAME, len(videos), 0))
  index = {
    "version": 1,
    "fingerprint": "f",
    "request": "r",
    "codec": next(iter(videos.values())).codec,
    "short_side": short_side,
    "num_videos": len(videos),
    "num_frames": sum(encoded.num_frames for encoded in videos.values()),
    "labels": {},
    "splits": {"train": [[0, len(videos)]]},
    "shards": [{k: v for k, v in shard.items() if k != "records"}],
    "skipped": [],
  }
  (directory / "index.json").write_text(json.dumps(index))
