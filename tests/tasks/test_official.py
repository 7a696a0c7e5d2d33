"""Published datasets, from the files as they are published to a result."""

import pytest

from hdc_jax.data.store.index import Index
from hdc_jax.tasks import finetune, linear, pretrain, retrieve
from tests import layouts, published, small

# Of each dataset: how it is laid out, its second split, and the task whose
# measure is taken there.
DATASETS = {
  "ssv2": (published.ssv2, "val", "finetune"),
  "diving48": (published.diving48, "test", "retrieve"),
  "gym99": (published.finegym, "val", "linear"),
  "gym288": (
    lambda root: published.finegym(root, edition="gym288", cut="event"),
    "val",
    "retrieve",
  ),
  "jester": (published.jester, "val", "finetune"),
  "charades": (published.charades, "test", "linear"),
}
TASKS = {
  "finetune": (finetune, {}),
  "linear": (
    linear,
    {
      "linear__rates": (1.0,),
      "linear__epochs": 2,
      "linear__warmup_epochs": 1,
    },
  ),
  "retrieve": (retrieve, {"retrieve__topk": (1,)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_a_published_dataset_becomes_a_result(name, tmp_path, quick):
  lay_out, split, task = DATASETS[name]
  data = layouts.prepare(name, lay_out(tmp_path), tmp_path / "data")
  index = Index.load(data)
  assert {s: len(index.split(s)) for s in ("train", split)} == {
    "train": 8,
    split: 2,
  }
  assert not index.left_out
  assert not index.skipped

  config = small.tiny(data__path=data, data__batch_size=4)
  pretrain.run(config, str(tmp_path / "pretrain"))
  module, changes = TASKS[task]
  config = small.tiny(
    task,
    data__path=data,
    checkpoint=str(tmp_path / "pretrain"),
    test__split=split,
    test__batch_size=4,
    **changes,
  )
  result = module.run(config, str(tmp_path / task))
  measure = "map" if index.tags else "top1"
  measured = [row[measure] for row in result["rows"] if measure in row]
  assert measured
  assert all(0 <= value <= 100 for value in measured)
