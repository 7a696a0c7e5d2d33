"""A dataset with tags and groups in miniature, prepared like any other."""

import pathlib

import pytest

from hdc_jax.data.datasets import DATASETS, Dataset, Listing, VideoFile
from hdc_jax.prepare import command
from tests import layouts

COUNT, TRAINED, GROUPED = 16, 11, 4
ACTIONS = ("run", "jump", "sing")


def actions_of(number):
  """The actions of a video: one, two, or, in the last video, none."""
  first = number % 3
  if number == COUNT - 1:
    return []
  return [first, (first + 1) % 3] if number % 2 else [first]


def prepare(root, groups=True):
  """Prepares 16 videos of 12 frames, with a label of the same stripes.

  Args:
    root: Directory to write to.
    groups: Whether each four videos have a group.

  Returns:
    Directory of the dataset, with the splits train and test.
  """

  def list_videos(request):
    files = []
    for i in range(COUNT):
      path = pathlib.Path(request.source) / f"{i:02d}.mp4"
      layouts.write_video(path, i % 3, 3, i, 12, codec="libx264")
      files.append(
        VideoFile(
          str(path),
          path.name,
          labels={"kind": ((0, i % 3),)},
          splits=("train",) if i < TRAINED else ("test",),
          tags={"actions": actions_of(i)},
          group=f"scene{i // GROUPED}" if groups else "",
        )
      )
    kinds = {"kind": ("a", "b", "c")}
    return Listing(files, kinds, tag_names={"actions": ACTIONS})

  output = pathlib.Path(root) / "data"
  arguments = [f"--source={root}", f"--output={output}", "--short_side=40"]
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(DATASETS, "tagged", Dataset(list_videos, "a folder\n"))
    options = ["--dataset=tagged", *arguments, "--workers=1", "--shards=1"]
    assert command.main(options) == 0
  return str(output)
