"""Which of the files below a directory are videos.

A file is a video by its extension, if that is one of `EXTENSIONS`. A file of
another extension, or of none, is opened to see whether FFmpeg finds a video in
it, unless its extension is one of `OTHER_EXTENSIONS`. In a bucket, where
opening means copying, only the extension counts.
"""

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence

from hdc_jax.data.video.originals import Original
from hdc_jax.runtime import files, walking
from hdc_jax.runtime.buckets import is_remote

# Containers and raw streams of video that FFmpeg reads, and animations.
EXTENSIONS = frozenset({
  ".264", ".265", ".3g2", ".3gp", ".amv", ".apng", ".asf", ".avi", ".avs2",
  ".dav", ".divx", ".dv", ".evo", ".f4v", ".flc", ".fli", ".flv", ".gif",
  ".gxf", ".h261", ".h263", ".h264", ".h265", ".h266", ".hevc", ".insv", ".ivf",
  ".lrv", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg",
  ".mk3d", ".mkv", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg", ".mpeg1", ".mpeg2",
  ".mpeg4", ".mpg", ".mpg4", ".mpv", ".mts", ".mxf", ".nsv", ".nut", ".nuv",
  ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".roq", ".swf", ".tod", ".trp",
  ".ts", ".vc1", ".vob", ".vvc", ".webm", ".wmv", ".wtv", ".xvid", ".y4m",
})  # fmt: skip

# Text, pictures, sound, archives, arrays and the like: never opened. Playlists
# are among them, since FFmpeg would follow them elsewhere.
OTHER_EXTENSIONS = frozenset({
  ".7z", ".aac", ".aiff", ".array_record", ".arrow", ".ass", ".bib", ".bmp",
  ".bz2", ".c", ".cfg", ".ckpt", ".conf", ".cpp", ".crdownload", ".csv", ".db",
  ".doc", ".docx", ".edl", ".eps", ".exe", ".exr", ".feather", ".ffconcat",
  ".flac", ".gz", ".h", ".h5", ".hdf5", ".heic", ".heif", ".htm", ".html",
  ".ico", ".idx", ".ini", ".ipynb", ".jpeg", ".jpg", ".js", ".json", ".jsonl",
  ".lmdb", ".lnk", ".log", ".m", ".m3u", ".m3u8", ".m4a", ".mat", ".md", ".md5",
  ".mdb", ".mka", ".mks", ".mp3", ".mpd", ".nfo", ".npy", ".npz", ".oga",
  ".onnx", ".opus", ".parquet", ".part", ".pdf", ".pickle", ".pkl", ".pls",
  ".png", ".ppm", ".ppt", ".pptx", ".psd", ".pt", ".pth", ".py", ".pyc", ".rar",
  ".raw", ".rst", ".rtf", ".safetensors", ".sdp", ".sh", ".sha256", ".sqlite",
  ".srt", ".ssa", ".sub", ".sup", ".svg", ".tar", ".tex", ".tfrecord", ".tgz",
  ".tif", ".tiff", ".tmp", ".toml", ".torrent", ".tsv", ".ttml", ".txt", ".url",
  ".vtt", ".wav", ".webp", ".wma", ".xls", ".xlsx", ".xml", ".xz", ".yaml",
  ".yml", ".ytdl", ".zip", ".zst",
})  # fmt: skip

# Reasons for which a file in a source is left out.
REASONS = (
  "hidden",
  "not_videos",
  "special",
  "broken_links",
  "linked_twice",
  "unreadable",
)


@dataclasses.dataclass(frozen=True)
class SourceFiles:
  """The files below a directory: each is in one of the two.

  Attributes:
    videos: Paths of the video files, relative to the directory, with '/',
      sorted by folder and name.
    left_out: For each of `REASONS` that holds for some, the other files; for
      'unreadable' the folders.
  """

  videos: Sequence[str]
  left_out: Mapping[str, Sequence[str]]


def find_files(
  directory: os.PathLike[str] | str, output: str | None = None
) -> SourceFiles:
  """Sorts the files in a directory and its sub-folders.

  Args:
    directory: The directory to search.
    output: Directory that is not searched, since `prepare` writes to it.

  Returns:
    All files, videos and others.

  Raises:
    OSError: If the directory cannot be listed.
    StorageError: If a bucket fails.
  """
  root = os.fspath(directory)
  found = walking.find_files(root)
  own = _folder_of_output(output, root)

  def outside(paths: Sequence[str]) -> list[str]:
    return [p for p in paths if own is None or not f"{p}/".startswith(own)]

  videos, others = [], []
  for path in outside(found.files):
    is_video = has_video(os.path.join(root, path))
    (videos if is_video else others).append(path)
  left_out = {reason: outside(paths) for reason, paths in found.others.items()}
  left_out["not_videos"] = others
  return SourceFiles(
    videos,
    {r: left_out[r] for r in REASONS if left_out.get(r)},
  )


def describe_kinds(paths: Sequence[str]) -> str:
  """Counts files by extension, the most frequent first.

  Args:
    paths: The files.

  Returns:
    The counts as text.

  Example:
    >>> describe_kinds(["a.txt", "b.TXT", "c.jpg", "README"])
    '2 .txt, 1 .jpg, 1 without extension'
  """
  kinds = collections.Counter(
    os.path.splitext(path)[1].lower() or "without extension" for path in paths
  )
  ordered = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
  return ", ".join(f"{count:,} {kind}" for kind, count in ordered)


def has_video(path: str) -> bool:
  """Tells whether a file counts as a video.

  Args:
    path: An ordinary file.

  Returns:
    Whether its extension says so or, where the extension says nothing, whether
    FFmpeg finds a video in it. That need not be one that can be decoded.
  """
  extension = os.path.splitext(path)[1].lower()
  if extension in EXTENSIONS:
    return True
  if extension in OTHER_EXTENSIONS or is_remote(path):
    return False
  try:
    with Original(path, short_side=2):
      return True
  except Exception:  # Whatever FFmpeg says of a strange file: it is no video.
    return False


def _folder_of_output(output: str | None, root: str) -> str | None:
  """Path of the output below a directory, with '/'; None if it is not there."""
  if not output:
    return None
  inner, outer = os.fspath(files.absolute(output)), files.absolute(root)
  prefix = os.fspath(outer).rstrip("/") + "/"
  return inner.removeprefix(prefix) + "/" if inner.startswith(prefix) else None
