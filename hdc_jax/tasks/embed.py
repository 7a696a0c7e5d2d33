"""Task `embed`: features of every video, in files for other programs.

They are called features-00000-of-00004.npz and so on, and read with NumPy:

```
with np.load("features-00000-of-00004.npz") as file:
  ids, features = file["ids"], file["features"]  # str [N], float32 [N, D]
```
"""

import io
import logging
from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

from hdc_jax.errors import choose, require
from hdc_jax.evaluate import features, setup
from hdc_jax.runs import results
from hdc_jax.runtime import files

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Writes the features of a split, by default of the whole dataset.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets the files, config.json and result.json. A file of this very
      run that is there already is not made again.

  Returns:
    What result.json holds; under `rows` a row per file.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
  """
  require(
    "config.embed.shard", config.embed.shard > 0, "how many videos per file?"
  )
  made = setup.set_up(config, "embed")
  source = made.source
  if config.embed.label:
    choose("config.embed.label", config.embed.label, source.index.labels)
  numbers = np.arange(len(source))
  if config.data.split:
    numbers = source.index.split(config.data.split)
  describe = features.make_describe(config)
  encode = features.make_encoder(
    lambda *arguments: {"features": describe(*arguments)},
    features.centre_view(made.looks.size),
    made.mesh,
  )
  result = results.read_result(workdir)
  rows = result["rows"] if made.stamp.items() <= result.items() else []
  written = {row["name"]: row for row in rows}
  results.write_config(workdir, config)
  shards = range(0, len(numbers), config.embed.shard)
  for i, first in enumerate(shards):
    name = f"features-{i:05d}-of-{len(shards):05d}.npz"
    if name in written and files.exists(epath.Path(workdir) / name):
      _log.info("%s is there already", name)
      continue
    outputs = features.extract(
      encode,
      made.loaded.variables,
      source,
      numbers[first : first + config.embed.shard],
      config,
      made.mesh,
      label=config.embed.label,
      looks=made.looks,
      title=name,
    )
    classes = source.index.labels.get(config.embed.label, ())
    _save(epath.Path(workdir) / name, outputs, classes)
    vectors = outputs.values["features"]
    size = {"vectors": len(vectors), "width": vectors.shape[1]}
    written[name] = {"name": name} | size
    rows = [written[name] for name in sorted(written)]
    result = results.write_result(workdir, made.stamp | {"rows": rows})
  print(f"features of {len(numbers):,} videos: {workdir}/features-*.npz")
  return result


def _save(
  path: epath.Path, outputs: features.Outputs, classes: tuple[str, ...]
) -> None:
  """Writes a file, whole or not at all, on process 0.

  It holds `ids` str [N]; `features` float32 [N, D]; `frames` int64 [N, 2], from
  which frame on and to before which; and, with a label, `labels` str [N], the
  names of the classes: a video is parted where they change.
  """
  if jax.process_index():
    return
  arrays = {
    "ids": np.array(outputs.ids),
    "features": outputs.values["features"],
    "frames": np.array([(part.first, part.stop) for part in outputs.parts]),
  }
  if classes:
    arrays["labels"] = np.array([classes[n] for n in outputs.labels])
  file = io.BytesIO()
  np.savez(file, **arrays)
  files.write(path, file.getvalue())
