"""The layout of a shard, by which ranges of it are read without ArrayRecord.

ArrayRecord's reader opens local paths and `gs://`, but no other bucket. So that
all are read in one way, what is needed of the layout is here: a shard that
`prepare` wrote has uncompressed records in groups of one.

```
64 bytes                     signature
for each record              a header of 40 bytes, and the record
footer                       likewise, of many records: where each one begins
postscript                   64 KiB, likewise: where the footer begins
```

Every 64 KiB of the file begin with 24 bytes that belong to none of these. All
integers are little-endian. The records of the footer are protocol buffers,
`8, offset, 16, size, 24, 1` in variable-length integers, after one that
describes the file. The headers have hashes, which are not compared here.
"""

import struct

import numpy as np

from hdc_jax.errors import DataError

_BLOCK, _BLOCK_HEADER = 1 << 16, 24
_HEADER = struct.Struct("<QQQQQ")
_SIMPLE = ord("r")  # the kind of a group of records that are not transposed
_MAGIC = 0x71930E704FDAE05E
_DESCRIPTION_BYTES = 1024  # Most bytes of the first record of a footer.


def tail_bytes(size: int, records: int) -> int:
  """How many bytes at the end of a file have its footer in them.

  Args:
    size: Size of the file in bytes.
    records: Number of its records.
  """
  integer = -(-size.bit_length() // 7)  # Bytes of an offset, and of a size.
  footer = records * (6 + 2 * integer) + _DESCRIPTION_BYTES
  blocks = footer // (_BLOCK - _BLOCK_HEADER) + 3  # Padded, and the postscript.
  return min(size, blocks * _BLOCK)


def read_offsets(tail: bytes, size: int, records: int) -> np.ndarray:
  """Finds out where records begin.

  Args:
    tail: The last bytes of a file, see `tail_bytes`.
    size: Size of the file in bytes.
    records: Number of its records.

  Returns:
    Where each record begins in the file, and where the last one ends; int64
    [records + 1].

  Raises:
    DataError: If the file is no such file.
  """
  begin = size - len(tail)
  last = _varints(b"".join(_group(tail[-_BLOCK:], size - _BLOCK)))
  if len(last) < 4 or (last[0], last[2], last[3]) != (8, 16, _MAGIC):
    raise DataError("it does not end as a shard")
  footer = int(last[1])
  if not begin <= footer < size:
    raise DataError("its footer is not where it should be")
  _, *places = _group(tail[footer - begin :], footer)
  fields = _varints(b"".join(places))
  if len(places) != records or len(fields) != 6 * records:
    raise DataError(f"it has {len(places)} records instead of {records}")
  table = fields.reshape(records, 6)
  offsets = np.append(table[:, 1], footer).astype(np.int64)
  if (table[:, ::2] != (8, 16, 24)).any() or (np.diff(offsets) <= 0).any():
    raise DataError("its footer is malformed")
  return offsets


def read_record(data: bytes, start: int) -> bytes:
  """Reads a record.

  Args:
    data: The bytes of the file from where the record begins to where it ends.
    start: Where it begins in the file.

  Raises:
    DataError: If the bytes are no record.
  """
  found = _group(data, start)
  if len(found) != 1:
    raise DataError(f"{len(found)} records are where one should be")
  return found[0]


def _group(data: bytes, start: int) -> list[bytes]:
  """Reads the records of a group, which may be followed by other bytes."""
  parts, position = [], 0
  while position < len(data):
    in_block = (start + position) % _BLOCK
    end = position + _BLOCK - in_block
    parts.append(data[position + (0 if in_block else _BLOCK_HEADER) : end])
    position = end
  content = b"".join(parts)
  if len(content) < _HEADER.size:
    raise DataError("a record is cut short")
  _, length, _, kind, decoded = _HEADER.unpack_from(content)
  count, body = kind >> 8, content[_HEADER.size : _HEADER.size + length]
  if kind & 0xFF != _SIMPLE or len(body) != length or not body or body[0]:
    raise DataError("a record is cut short, or not as hdc_jax writes it")
  # The number of bytes of the sizes, the sizes, and the records.
  end = next((i for i in range(1, len(body)) if body[i] < 0x80), 0) + 1
  if end == 1:
    raise DataError("the sizes of records are malformed")
  values = end + int(_varints(body[1:end])[0])
  sizes = _varints(body[end:values]).astype(np.int64)
  if len(sizes) != count or not sizes.sum() == decoded == len(body) - values:
    raise DataError("the sizes of records are malformed")
  ends = values + np.cumsum(sizes)
  return [
    body[stop - size : stop]
    for stop, size in zip(ends.tolist(), sizes.tolist(), strict=True)
  ]


def _varints(data: bytes) -> np.ndarray:
  """Reads integers of variable length, seven bits a byte; uint64 [N]."""
  values = np.frombuffer(data, np.uint8)
  (ends,) = np.nonzero(values < 0x80)
  starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
  lengths = ends + 1 - starts
  longest = int(lengths.max(initial=0))
  if longest > 10 or (len(values) and not len(ends)):
    raise DataError("an integer is malformed")
  found = np.zeros(len(ends), np.uint64)
  for place in range(longest):
    there = lengths > place
    bits = values[starts[there] + place].astype(np.uint64) & np.uint64(0x7F)
    found[there] |= bits << np.uint64(7 * place)
  return found
