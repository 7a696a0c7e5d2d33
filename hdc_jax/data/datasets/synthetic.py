"""Generated videos, for trials and tests without a download."""

import os

from hdc_jax.data.datasets.base import Dataset, Listing, Request, VideoFile
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.runtime import files
from hdc_jax.runtime.progress import Progress
from hdc_jax.runtime.workers import Workers

LAYOUT = """\
No files: as many videos as --videos says are generated, labelled by motion
and by scene. The splits are train and, for the last fifth, test.
"""


def generate_videos(request: Request) -> Listing:
  """Writes the videos that do not exist yet, and lists all.

  They are written to `videos/` of the output, or to the source if one is given.

  Args:
    request: The options; uses `videos`, `seed`, `workers`, `output` and
      `source`.

  Returns:
    The videos by number, with the labels 'motion' and 'scene'. The first four
    fifths are in the split 'train', the rest in 'test'.
  """
  directory = request.source or os.path.join(request.output, "videos")
  first_test = request.videos - request.videos // 5
  videos = []
  for number in range(request.videos):
    name = f"seed{request.seed}/{number:06d}.mp4"
    videos.append(
      VideoFile(
        path=os.path.join(directory, name),
        id=name,
        labels=synthetic.draw(request.seed, number).labels,
        splits=("train" if number < first_test else "test",),
      )
    )
  sizes = files.sizes([video.path for video in videos])
  missing = [
    (request.seed, number, video.path)
    for number, (video, size) in enumerate(zip(videos, sizes, strict=True))
    if size is None
  ]
  if missing:
    index_path = os.path.join(request.output, index_lib.INDEX)
    if not request.source and not files.exists(index_path):
      index_lib.mark_unfinished(request.output)
    with (
      Workers(_generate_video, request.workers) as workers,
      Progress(len(missing), "videos", "generating") as progress,
    ):
      for _ in workers.map(missing):
        progress.update()
  return Listing(
    videos, {"motion": synthetic.MOTIONS, "scene": synthetic.SCENES}
  )


def _generate_video(seed: int, number: int, path: str) -> None:
  """Writes one video; runs in a worker process."""
  with files.writing(path) as local:
    synthetic.write(synthetic.draw(seed, number), local)


DATASET = Dataset(generate_videos, LAYOUT)
