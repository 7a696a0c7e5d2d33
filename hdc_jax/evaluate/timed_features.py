"""Features over the time of a video, and the files that hold them."""

import os
import pathlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from typing import IO, Any, NamedTuple

import numpy as np

from hdc_jax.errors import ConfigError, choose
from hdc_jax.runtime import files


class TimedFeatures(NamedTuple):
  """Features of N windows of a video.

  Attributes:
    start: When each window begins, in seconds after the first frame of the
      video, float64 [N].
    end: When it ends, float64 [N].
    features: The features of each, float32 [N, D].
  """

  start: np.ndarray
  end: np.ndarray
  features: np.ndarray


Chunks = Iterable[TimedFeatures]


def writer_of(
  path: str | os.PathLike[str],
) -> Callable[[str | os.PathLike[str], Chunks], int]:
  """Chooses the format of a file by its extension.

  Returns:
    A function that writes windows to a path, which then exists whole or not at
    all, and returns their number.

  Raises:
    ConfigError: If there is no such format, or its library is missing.
  """
  suffix = pathlib.PurePath(path).suffix
  write = choose(f"extension of {os.fspath(path)}", suffix, _WRITERS)
  if suffix == ".parquet":
    try:
      import pyarrow.parquet  # noqa: F401
    except ImportError as error:
      raise ConfigError(
        f"{os.fspath(path)}: Parquet needs `pip install pyarrow`; or name a "
        ".npz file"
      ) from error
  return write


def _write_npz(path: str | os.PathLike[str], chunks: Chunks) -> int:
  """Writes the arrays of all chunks, which are in memory one at a time."""
  with (
    files.writing(path) as partial,
    tempfile.TemporaryFile() as vectors,
    # A file object, as a name of another extension would get .npz added.
    zipfile.ZipFile(partial, "w", allowZip64=True) as archive,
  ):
    starts, ends, width = [], [], 0
    for chunk in chunks:
      starts.append(chunk.start)
      ends.append(chunk.end)
      width = chunk.features.shape[1]
      vectors.write(np.ascontiguousarray(chunk.features).tobytes())
    for name, times in (("start", starts), ("end", ends)):
      with archive.open(f"{name}.npy", "w") as file:
        np.lib.format.write_array(file, np.concatenate(times))
    count = sum(map(len, starts))
    with archive.open("features.npy", "w", force_zip64=True) as file:
      _copy_array(vectors, file, (count, width))
  return count


def _copy_array(
  source: IO[bytes], target: IO[bytes], shape: tuple[int, int]
) -> None:
  """Copies the bytes of a float32 array behind the header that NumPy reads."""
  header = {"descr": "<f4", "fortran_order": False, "shape": shape}
  np.lib.format.write_array_header_1_0(target, header)
  source.seek(0)
  while block := source.read(1 << 20):
    target.write(block)


def _write_parquet(path: str | os.PathLike[str], chunks: Chunks) -> int:
  """Writes a row for each window: `start`, `end` and `features`, a list."""
  import pyarrow as pa
  import pyarrow.parquet as pq

  writer: Any = None
  count = 0
  with files.writing(path) as partial:
    try:
      for chunk in chunks:
        width = chunk.features.shape[1]
        flat = pa.array(chunk.features.ravel())
        table = pa.table(
          {
            "start": chunk.start,
            "end": chunk.end,
            "features": pa.FixedSizeListArray.from_arrays(flat, width),
          }
        )
        writer = writer or pq.ParquetWriter(partial, table.schema)
        writer.write_table(table)
        count += len(chunk.start)
    finally:
      if writer is not None:
        writer.close()
  return count


_WRITERS = {".npz": _write_npz, ".parquet": _write_parquet}
