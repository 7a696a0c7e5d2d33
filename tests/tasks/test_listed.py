"""Lists of other code, from files of videos to a result."""

import pytest

from hdc_jax.data.store.index import Index
from hdc_jax.prepare import command as prepare
from hdc_jax.tasks import pretrain, retrieve
from tests import layouts, small

CLASSES = 2
VIDEOS = {"train": 8, "val": 2}  # in each of the lists

# Of each format: its header, a row of it, and what it needs besides.
FORMATS = {
  "slowfast": ("", "{path} {number}", ()),
  "videomae": ("", "{path}  {number}", ()),
  "vjepa": ("", '"{root}/{path}" {number}', ()),
  "mmaction2": ("", "{path} {frames} {number}", ("--table_format=frames",)),
  "kinetics": (
    "label,youtube_id,time_start,time_end,split,is_cc\n",
    "{name},{id},1,11,{split},0",
    (),
  ),
  "table": (
    "path,class,split,group,start,end\n",
    "{path},{name},{split},{id},,",
    (),
  ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  """A folder of videos, whose names are as those of Kinetics."""
  root = tmp_path_factory.mktemp("listed")
  for split, count in VIDEOS.items():
    for i in range(count):
      path = root / "videos" / path_of(split, i)
      layouts.write_video(path, i % CLASSES, CLASSES, i, 12, codec="libx264")
  return root


def path_of(split, i):
  return f"{'ab'[i % CLASSES]} class/{split}-000000{i}_000001_000011.mp4"


def write_lists(root, folder, header, row):
  """Writes train.csv and val.csv; returns their paths."""
  for split, count in VIDEOS.items():
    rows = [
      row.format(
        path=path_of(split, i),
        root=root / "videos",
        number=i % CLASSES,
        name="ab"[i % CLASSES],
        frames=12,
        id=f"{split}-000000{i}",
        split={"train": "train", "val": "validate"}[split],
      )
      for i in range(count)
    ]
    (folder / f"{split}.csv").write_text(header + "\n".join(rows) + "\n")
  return [str(folder / f"{split}.csv") for split in VIDEOS]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_list_becomes_a_result(name, root, tmp_path, quick):
  header, row, options = FORMATS[name]
  data = tmp_path / "data"
  arguments = ["--dataset=table", f"--source={root / 'videos'}", *options]
  arguments += [f"--output={data}", "--short_side=40", "--workers=1"]
  lists = write_lists(root, tmp_path, header, row)
  assert prepare.main([*arguments, "--table", *lists]) == 0
  index = Index.load(data)
  assert {s: len(index.split(s)) for s in index.splits} == VIDEOS
  assert len(index.labels["class"]) == CLASSES
  assert not index.left_out
  assert not index.skipped

  config = small.tiny(data__path=str(data), data__batch_size=4)
  pretrain.run(config, str(tmp_path / "pretrain"))
  config = small.tiny(
    "retrieve",
    data__path=str(data),
    checkpoint=str(tmp_path / "pretrain"),
    test__split="val",
    test__batch_size=4,
    retrieve__topk=(1,),
  )
  result = retrieve.run(config, str(tmp_path / "retrieve"))
  (trained,) = (r for r in result["rows"] if r["name"] == "class/trained")
  assert 0 <= trained["top1"] <= 100
