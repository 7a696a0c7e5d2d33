"""Whatever lists, files of weights and command lines hold is data."""

import functools
import json
import pickle

import numpy as np
import pytest
from hypothesis import strategies as st

from hdc_jax.config import flags
from hdc_jax.convert import formats
from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.data.datasets.tables import formats as table_formats
from tests import layouts, published
from tests.fuzz.damage import damaged, fuzz, junk_in, package_errors

LAYOUTS = {
  "ssv2": published.ssv2,
  "diving48": published.diving48,
  "gym99": published.finegym,
  "jester": published.jester,
  "charades": published.charades,
  "ucf101": layouts.ucf101,
  "hmdb51": layouts.hmdb51,
  "kinetics400": layouts.kinetics,
}
TABLES = {
  "columns.csv": b"path,split,start,end,class,tags[]\n"
  b"a.mp4,train,0,1.5,walk,x;y\nb.mp4,val,2,3,run,\n",
  "kinetics.csv": b"label,youtube_id,time_start,time_end,split\n"
  b"walk,0wR5jVB-WPk,1,11,train\n",
  "train.txt": b"a/b.mp4 300 1\na/c d.mp4 20 0\n",
  "val.txt": b"a/b.mp4::1\n'a/c.mp4'::0\n",
}


def in_json(content):
  """Damage within the tree of a JSON file; of others, none."""
  try:
    tree = json.loads(content)
  except ValueError:
    return st.nothing()
  return junk_in(tree).map(lambda t: json.dumps(t, default=repr).encode())


@pytest.mark.parametrize("name", LAYOUTS)
def test_split_files(name, tmp_path):
  made = LAYOUTS[name](tmp_path, frames=0)
  paths = sorted(path for path in made.splits.rglob("*") if path.is_file())
  request = Request(str(made.source), str(made.splits), "", 1, 0, 1)
  whole = {path: path.read_bytes() for path in paths}
  cases = [
    st.tuples(st.just(path), damaged(content) | in_json(content))
    for path, content in whole.items()
  ]

  @fuzz(st.one_of(cases))
  def run(case):
    path, content = case
    path.write_bytes(content)
    with package_errors():
      DATASETS[name].list_videos(request)
    path.write_bytes(whole[path])

  run()


@pytest.mark.parametrize("name", TABLES)
def test_tables(name, tmp_path):
  path = tmp_path / name

  @fuzz(damaged(TABLES[name]))
  def run(content):
    path.write_bytes(content)
    for choice in (None, "classes", "frames"):
      with package_errors():
        table_formats.read(str(path), choice)

  run()


def test_parquet(tmp_path):
  pyarrow = pytest.importorskip("pyarrow")
  parquet = pytest.importorskip("pyarrow.parquet")
  path = tmp_path / "train.parquet"
  columns = {"path": ["a.mp4", "b.mp4"], "class": ["x", "y"], "end": [1.0, 2.0]}
  parquet.write_table(pyarrow.table(columns), path)
  whole = path.read_bytes()

  @fuzz(damaged(whole))
  def run(content):
    path.write_bytes(content)
    with package_errors():
      table_formats.read(str(path), None)

  run()


@functools.cache
def weights(path):
  arrays = {"a.weight": np.ones((3, 2), np.float32), "b": np.arange(3)}
  formats.of(str(path)).write(path, arrays, {"model": "{}"})
  return path.read_bytes()


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights(suffix, tmp_path):
  if suffix == "pt":
    pytest.importorskip("torch")
  path = tmp_path / f"w.{suffix}"
  whole = weights(path)

  @fuzz(damaged(whole))
  def run(content):
    path.write_bytes(content)
    with package_errors():
      formats.of(str(path)).read(str(path))

  run()


def test_weights_nested_deeply(tmp_path):
  """A pickle of dicts within dicts, deeper than Python recurses."""
  torch = pytest.importorskip("torch")
  nested = {"w": torch.zeros(1)}
  for _ in range(400):
    nested = {"k": nested}
  path = tmp_path / "w.pt"
  torch.save(nested, path)
  with package_errors():
    formats.of(str(path)).read(str(path))
  deep = pickle.dumps({"k": 1}, 2)[2:-1]
  path.write_bytes(b"\x80\x02" + b"(" * 100_000 + deep + b".")
  with package_errors():
    formats.of(str(path)).read(str(path))


FIELDS = [
  "--config.data.path=x",
  "--config.optim.lr=0.05",
  "--config.data.batch_size=8",
  "--config.model.stem=(3,7,7)",
  "--config.method.blocks=(5,)",
  "--config.train.steps=100",
]


@fuzz(
  st.lists(
    st.sampled_from(FIELDS).flatmap(
      lambda field: damaged(field.encode()).map(
        lambda data: data.decode("utf-8", "surrogateescape")
      )
    ),
    min_size=1,
    max_size=3,
  )
)
def test_command_lines(arguments):
  with package_errors():
    flags.read_config("configs/tiny.py", arguments)


@fuzz(damaged(b"configs/tiny.py:task=retrieve,method=cvrl"))
def test_configs_arguments(name):
  with package_errors():
    flags.read_config(name.decode("utf-8", "surrogateescape"), [])
