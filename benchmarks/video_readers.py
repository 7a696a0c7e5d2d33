"""Clips out of video files by the libraries that people train with.

Each reader opens a file, decodes the frames of one clip with one thread, scales
them to a short side and crops their middle: what a loader of original files
does for every clip.
"""

import importlib
import importlib.util
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import av
import numpy as np

# Path, numbers of the frames in increasing order, and short side in pixels →
# uint8 [T, side, side, 3], RGB.
Reader = Callable[[str, Sequence[int], int], np.ndarray]

QUALITY = 88  # Of JPEG frames.


def crop_middle(frames: np.ndarray, side: int) -> np.ndarray:
  """The middle square of frames [T, H, W, 3]."""
  top, left = ((n - side) // 2 for n in frames.shape[1:3])
  return frames[:, top : top + side, left : left + side]


def scaled(size: Sequence[int], side: int) -> tuple[int, int]:
  """Height and width after the shorter one is scaled to a side."""
  height, width = size
  ratio = side / min(height, width)
  return round(height * ratio), round(width * ratio)


def read_pyav(path: str, indices: Sequence[int], side: int) -> np.ndarray:
  """By PyAV: seeks to the keyframe before, and decodes from there."""
  wanted, frames = set(indices), []
  with av.open(path) as container:
    stream: Any = container.streams.video[0]
    stream.codec_context.thread_count = 1
    rate = stream.average_rate
    first = stream.start_time or 0
    time = int(indices[0] / rate / stream.time_base)
    container.seek(first + time, stream=stream)
    frame: Any
    for frame in container.decode(stream):
      number = round((frame.pts - first) * stream.time_base * rate)
      if number in wanted:
        height, width = scaled((frame.height, frame.width), side)
        small = frame.reformat(width, height, "rgb24", interpolation="BILINEAR")
        frames.append(small.to_ndarray())
      if number >= indices[-1]:
        break
  return crop_middle(np.stack(frames), side)


def read_opencv(path: str, indices: Sequence[int], side: int) -> np.ndarray:
  """By OpenCV: seeks by frame number, and skips frames without converting."""
  import cv2

  video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
  wanted, frames = set(indices), []
  video.set(cv2.CAP_PROP_POS_FRAMES, indices[0])
  for number in range(indices[0], indices[-1] + 1):
    video.grab()
    if number in wanted:
      _, frame = video.retrieve()
      height, width = scaled(frame.shape[:2], side)
      small = cv2.resize(frame, (width, height))
      frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
  video.release()
  return crop_middle(np.stack(frames), side)


def read_decord(path: str, indices: Sequence[int], side: int) -> np.ndarray:
  """By decord, which scales while it converts."""
  decord = importlib.import_module("decord")
  height, width = decord.VideoReader(path, num_threads=1)[0].shape[:2]
  height, width = scaled((height, width), side)
  video = decord.VideoReader(path, width=width, height=height, num_threads=1)
  return crop_middle(video.get_batch(list(indices)).asnumpy(), side)


def read_torchcodec(path: str, indices: Sequence[int], side: int) -> np.ndarray:
  """By TorchCodec, whose frames are scaled by PyTorch."""
  torch = importlib.import_module("torch")
  decoders = importlib.import_module("torchcodec.decoders")
  decoder = decoders.VideoDecoder(
    path, num_ffmpeg_threads=1, seek_mode="approximate"
  )
  frames = decoder.get_frames_at(list(indices)).data
  size = scaled(frames.shape[2:], side)
  small = torch.nn.functional.interpolate(
    frames.float(), size, mode="bilinear", antialias=True
  )
  found = small.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
  return crop_middle(found, side)


def read_jpeg(folder: str, indices: Sequence[int], side: int) -> np.ndarray:
  """By TurboJPEG, from a folder of frames that have the short side already."""
  simplejpeg = importlib.import_module("simplejpeg")
  frames = [
    simplejpeg.decode_jpeg(frame_path(folder, i).read_bytes()) for i in indices
  ]
  return crop_middle(np.stack(frames), side)


def frame_path(folder: str, number: int) -> pathlib.Path:
  """The JPEG file of a frame."""
  return pathlib.Path(folder) / f"{number:06d}.jpg"


def write_jpegs(path: str, folder: str, side: int) -> None:
  """Writes all frames of a video as JPEG files of a short side.

  Args:
    path: The video.
    folder: Where to; it is made.
    side: Short side of the frames in pixels.
  """
  simplejpeg = importlib.import_module("simplejpeg")
  os.makedirs(folder)
  with av.open(path) as container:
    for number, frame in enumerate(container.decode(video=0)):
      height, width = scaled((frame.height, frame.width), side)
      small = frame.reformat(width, height, "rgb24").to_ndarray()
      data = simplejpeg.encode_jpeg(np.ascontiguousarray(small), QUALITY)
      frame_path(folder, number).write_bytes(data)


# Reader by name, and the package that it needs.
_READERS: Mapping[str, tuple[Reader, str]] = {
  "decord": (read_decord, "decord"),
  "opencv": (read_opencv, "cv2"),
  "pyav": (read_pyav, "av"),
  "torchcodec": (read_torchcodec, "torchcodec"),
  "jpeg": (read_jpeg, "simplejpeg"),
}
NAMES = tuple(_READERS)


def installed() -> dict[str, Reader]:
  """The readers whose package is installed, by name."""
  return {
    name: read
    for name, (read, package) in _READERS.items()
    if importlib.util.find_spec(package)
  }
