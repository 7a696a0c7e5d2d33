"""What moves in a clip, and how to put it before another background.

The foreground is what differs from the median frame: with a camera at rest, a
pixel shows the background in most frames. After a cut there is another
background, so each shot of a clip has a median of its own.
"""

import itertools

import numpy as np
import scipy

from hdc_jax.data.video.frames import Frames

_NEIGHBOURHOOD = (1, 3, 3)  # frames, rows, columns
# A cut changes luma by so many levels of 256 on average, and by so many times
# as much as the median change from frame to frame.
_CUT_LEVELS, _CUT_RATIO = 16.0, 4.0


def shots(y: np.ndarray) -> list[slice]:
  """Divides a clip at its cuts.

  Choice: a cut is a change that is large, and far larger than others of the
  clip, so that there is none where the camera moves all the time.

  Args:
    y: Luma of T frames, uint8 [T, H, W].

  Returns:
    The frames of each shot, in order.
  """
  steps = np.abs(np.diff(y.astype(np.int16), axis=0)).mean(axis=(1, 2))
  least = max(_CUT_LEVELS, _CUT_RATIO * np.median(steps))
  cuts = [0, *(np.flatnonzero(steps > least) + 1).tolist(), len(y)]
  return [slice(*pair) for pair in itertools.pairwise(cuts)]


def background(frames: Frames) -> Frames:
  """The median of every pixel over the longest shot, rounded half to even.

  Args:
    frames: A clip of T frames; of equally long shots the first counts.

  Returns:
    One frame: y uint8 [1, H, W], uv uint8 [1, H/2, W/2, 2].

  Example:
    >>> y = np.array([10, 90, 12], np.uint8)[:, None, None]
    >>> uv = np.full((3, 1, 1, 2), 128, np.uint8)
    >>> background(Frames(y.repeat(2, 1).repeat(2, 2), uv)).y.tolist()
    [[[12, 12], [12, 12]]]
  """
  shot = max(shots(frames.y), key=lambda s: s.stop - s.start)
  medians = (np.median(plane[shot], axis=0, keepdims=True) for plane in frames)
  return Frames(*(np.rint(median).astype(np.uint8) for median in medians))


def foreground(frames: Frames, threshold: float) -> np.ndarray:
  """Finds what moves in a clip, by its difference to the median of its shot.

  Choice: luma alone, as coding errors of chroma are larger at the borders of
  moving things. Of each pixel's 3×3 neighbourhood the majority counts, so that
  single pixels come and go, and holes are filled, as the middle of a thing of
  one colour does not differ.

  Args:
    frames: A clip of T frames.
    threshold: Difference of luma, in levels of 256, above which a pixel is
      foreground.

  Returns:
    bool [T, H, W].
  """
  differs = np.concatenate(
    [
      np.abs(shot - np.median(shot, axis=0)) > threshold
      for shot in (frames.y[s] for s in shots(frames.y))
    ]
  )
  # SciPy loads its `ndimage` here, which takes a third of a second.
  ndimage = scipy.ndimage
  smooth = ndimage.median_filter(differs.astype(np.uint8), _NEIGHBOURHOOD)
  return np.stack([ndimage.binary_fill_holes(frame) for frame in smooth])


def exchange_background(
  frames: Frames, other: Frames, threshold: float
) -> Frames:
  """Puts the foreground of a clip before another background.

  Choice: the mask of luma is hard, as a soft border would let a rim of the old
  background through. A pixel of chroma is mixed by how many of its four pixels
  of luma are foreground.

  Args:
    frames: A clip of T frames.
    other: The other background: as many frames, or one for all, of the same
      height and width.
    threshold: See `foreground`.

  Returns:
    The clip with its background exchanged.
  """
  mask = foreground(frames, threshold)
  count, height, width = mask.shape
  cells = mask.reshape(count, height // 2, 2, width // 2, 2)
  covered = cells.sum(axis=(2, 4))[..., None]
  mixed = covered * frames.uv + (4 - covered) * other.uv
  return Frames(
    np.where(mask, frames.y, other.y),
    ((mixed + 2) // 4).astype(np.uint8),
  )
