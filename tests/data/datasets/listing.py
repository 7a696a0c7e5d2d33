"""What the annotations of a published dataset make of its files."""

from hdc_jax.data.datasets import DATASETS, Request


def listing(name, made):
  """Lists a dataset that a function of `published` laid out."""
  request = Request(str(made.source), str(made.splits), "", 1, 0, 1)
  return DATASETS[name].list_videos(request)


def classes_of(found):
  """By split and id: the class of each video, None for none."""
  splits = {}
  for video in found.videos:
    (split,) = video.splits
    ((_, number),) = video.labels.get("class", ((0, None),))
    splits.setdefault(split, {})[video.id] = number
  return splits


def check_counts(found, **splits):
  """The listing has the official counts, and they add up."""
  assert {s: found.official[s] for s in splits} == splits
  assert found.official["videos"] == sum(splits.values())
