"""Generated videos, for trials and tests without a download."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from hdc_jax.data.datasets.base import Dataset, Listing, Request, VideoFile
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.data.synthetic import worlds
from hdc_jax.data.synthetic.worlds import CameraWorld, ObjectWorld
from hdc_jax.runtime import files
from hdc_jax.runtime.progress import Progress
from hdc_jax.runtime.workers import Workers

LAYOUT = """\
No files: as many videos as --videos says are generated, labelled by motion
and by scene. The splits are train and, for the last fifth, test.
In the world object, one object performs one of 8 motions (horizontal,
vertical, diagonal, circle, zoom, spin, jitter, rest) in front of a static
scene, of which each video has two.
In the world camera, the motion (horizontal, vertical, diagonal, circle,
zoom, turn, spiral, shake) is that of a camera over a textured scene with
two objects, which orbit in their own way. It goes on while hard cuts change
the scene. Its period is 13 frames at 25 a second (10 to 16 with
--identity), so that a clip of 8 frames at stride 2 spans a whole one.
In both, scene and motion are independent and balanced, and no single frame
tells the motion.
"""
_DEFAULT_WORLD = "object"


def generate_videos(request: Request) -> Listing:
  """Writes the videos that do not exist yet, and lists all.

  They are written to `videos/` of the output, or to the source if one is given.

  Args:
    request: The options; uses `videos`, `seed`, `workers`, `output`, `source`,
      `world` and `world_options`.

  Returns:
    The videos by number, with the labels 'motion' and 'scene'. The first four
    fifths are in the split 'train', the rest in 'test'.
  """
  name = request.world or _DEFAULT_WORLD
  world = worlds.make(name, request.world_options)
  # Videos of other options have other names, so that none is taken for another.
  options = dataclasses.asdict(world)
  folder = "".join(f"{key}{value:g}-" for key, value in options.items())
  folder = f"{name}-{folder}" if options else ""
  directory = request.source or os.path.join(request.output, "videos")
  first_test = request.videos - request.videos // 5
  videos = []
  for number in range(request.videos):
    video_id = f"{folder}seed{request.seed}/{number:06d}.mp4"
    videos.append(
      VideoFile(
        path=os.path.join(directory, video_id),
        id=video_id,
        labels=world.draw(request.seed, number).labels,
        splits=("train" if number < first_test else "test",),
      )
    )
  sizes = files.sizes([video.path for video in videos])
  missing = [
    (world, request.seed, number, video.path)
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
    videos,
    {"motion": world.motions, "scene": synthetic.SCENES},
    generated={"world": name, "seed": request.seed, **options},
  )


def redraw(generated: Mapping[str, Any], video_id: str) -> synthetic.Synthetic:
  """Draws the ground truth of a video of a prepared dataset again.

  Args:
    generated: How its dataset was generated, see `Index.generated`.
    video_id: Name of the video in its record.

  Returns:
    The parameters of the video.
  """
  options = dict(generated)
  world, seed = options.pop("world"), options.pop("seed")
  number = int(os.path.splitext(os.path.basename(video_id))[0])
  return worlds.make(world, options).draw(seed, number)


def _generate_video(
  world: ObjectWorld | CameraWorld, seed: int, number: int, path: str
) -> None:
  """Writes one video; runs in a worker process."""
  synthetic.write(world.draw(seed, number), path)


DATASET = Dataset(generate_videos, LAYOUT, has_worlds=True)
