"""Videos in shards, without files."""

from hdc_jax.data import mixtures, sources
from hdc_jax.data.store.index import Index, Shard
from tests.data.clips import generated


def index_of(counts, name="a", videos=None):
  """The index of a dataset whose shards have so many videos."""
  total = sum(counts)
  shards = [Shard(f"{name}-{i}", n, n, n, "") for i, n in enumerate(counts)]
  splits = {"train": [(0, videos or total)]}
  return Index(name, "", "h264", 4, total, None, {}, splits, shards, ())


def source_of(counts, bad=(), first=0, name="a"):
  """Videos whose ids are their numbers from `first` on."""
  videos = [generated.Video(str(first + i)) for i in range(sum(counts))]
  source = generated.Source(videos, bad=[b - first for b in bad])
  source.index = index_of(counts, name)
  return source


def mixture_of(first, second, bad=()):
  """Two datasets by their counts, 3:1; the ids of the second begin at 1000."""
  datasets = [
    source_of(first, [b for b in bad if b < 1000], 0, "a"),
    source_of(second, [b for b in bad if b >= 1000], 1000, "b"),
  ]
  parts = mixtures.parse("a:3,b:1")
  indices = [dataset.index for dataset in datasets]
  return sources.Mixture(datasets, mixtures.join(parts, indices))


def shard_of(counts, number):
  """The shard of a video."""
  shard = 0
  while number >= counts[shard]:
    number -= counts[shard]
    shard += 1
  return shard
