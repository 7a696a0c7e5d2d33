"""Measures how well frame differences find the object of generated videos.

  python -m hdc_jax.prepare --dataset=synthetic --videos=80 --short_side=72 \
    --output=DATA
  python -m benchmarks.bench_masks DATA

A clip in the middle of each scene is decoded, and its foreground, as task
`bias` finds it, is compared with the true outline of the object. The table has,
for each motion, the intersection over union, the precision and the recall of
the foreground's pixels, and the share of the picture that it covers, in per
cent.
"""

import argparse
import re
from collections.abc import Sequence

import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import evaluation_clips
from hdc_jax.data.clips.foreground import foreground
from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.runs.text_table import format_rows
from hdc_jax.tasks.bias import Masks

# The motions that move the object to other places.
TRAVELLING = ("horizontal", "vertical", "diagonal", "circle", "jitter")


def true_masks(
  video: synthetic.Synthetic, indices: np.ndarray, height: int, width: int
) -> np.ndarray:
  """The pixels that the object of a generated video covers.

  Args:
    video: The parameters of the video.
    indices: Numbers of the frames, int [T].
    height: Height of the frames in pixels, to which the video was scaled.
    width: Width of the frames in pixels.

  Returns:
    bool [T, height, width].
  """
  # The pixel of the video in which the centre of each pixel lies.
  rows = ((np.arange(height) + 0.5) * video.height / height).astype(int)
  columns = ((np.arange(width) + 0.5) * video.width / width).astype(int)
  return synthetic.foreground(video)[np.ix_(indices, rows, columns)]


def count(
  source: sources.Source, threshold: float, frames: int, stride: int
) -> dict[str, np.ndarray]:
  """Counts the pixels of the foreground, for each motion.

  Args:
    source: Generated videos.
    threshold: See `foreground`.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.

  Returns:
    For each motion how many pixels are foreground and truly the object, how
    many are foreground, how many truly the object, and how many there are, int
    [4].
  """
  counts = {name: np.zeros(4, int) for name in synthetic.MOTIONS}
  side = source.index.short_side
  placement = FixedPlacement(frames, stride, side, 3, "centre")
  cut = evaluation_clips.CutSegments(source, "scene", placement)
  for number in range(len(source)):
    video = source[number]
    seed, index = map(int, re.findall(r"\d+", video.id)[:2])
    drawn = synthetic.draw(seed, index)
    for segment in segments_of(number, video, "scene"):
      _, (start, (window,)), _ = placement.cuts(
        segment, video.height, video.width
      )
      found = foreground(cut.cut(video, segment)[1], threshold)
      true = true_masks(
        drawn, start + stride * np.arange(frames), video.height, video.width
      )[:, *window.plane_slices(1)]
      sets = found & true, found, true, np.ones_like(true)
      counts[synthetic.MOTIONS[drawn.motion]] += [s.sum() for s in sets]
  return counts


def rates(counts: np.ndarray) -> dict[str, float]:
  """Percentages of the counts of `count`."""
  both, found, true, pixels = counts
  return {
    "IoU": 100.0 * both / max(1, found + true - both),
    "precision": 100.0 * both / max(1, found),
    "recall": 100.0 * both / max(1, true),
    "foreground": 100.0 * found / max(1, pixels),
  }


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("data", help="what `prepare --dataset=synthetic` wrote")
  parser.add_argument("--threshold", type=float, default=Masks().threshold)
  parser.add_argument("--frames", type=int, default=8)
  parser.add_argument("--stride", type=int, default=2)
  args = parser.parse_args(argv)
  counts = count(
    sources.open(args.data), args.threshold, args.frames, args.stride
  )
  travelling = np.sum([counts[name] for name in TRAVELLING], axis=0)
  rows = [{"motion": name} | rates(c) for name, c in counts.items()]
  print(format_rows([*rows, {"motion": "travelling"} | rates(travelling)]))
  return 0


if __name__ == "__main__":
  raise SystemExit(main())
