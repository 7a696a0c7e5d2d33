"""Task `embed`: writes the features of every video to files.

The files are features-00000-of-00004.npz and so on. NumPy reads them:

```
with np.load("features-00000-of-00004.npz") as file:
  ids, features = file["ids"], file["features"]  # str [N], float32 [N, D]
```
"""

import dataclasses
import io
import logging
from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

from hdc_jax import report
from hdc_jax.data.store.index import Index
from hdc_jax.errors import choose
from hdc_jax.evaluate import features, pretrained
from hdc_jax.evaluate.evaluation import Outputs
from hdc_jax.evaluate.features import Features
from hdc_jax.options import Options, option
from hdc_jax.runs import results
from hdc_jax.runs.text_table import describe_left_out
from hdc_jax.runtime import files
from hdc_jax.tasks.base import (
  EvaluationOptions,
  FrozenBackbone,
  Task,
  make_stamp,
)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class EmbeddedVideos(Options, section="data"):
  """Which videos to embed."""

  split: str = option("", "Split to embed; empty: the whole dataset.")


@dataclasses.dataclass(frozen=True)
class FeatureFiles(Options, section="embed"):
  """Size and content of the files of features."""

  shard: int = option(10_000, "Videos per file.", at_least=1)
  label: str = option(
    "",
    "Label whose classes are written as well; videos are divided into segments "
    "where it changes.",
  )


@dataclasses.dataclass(frozen=True)
class Embed(EvaluationOptions):
  """Options of task `embed`.

  Attributes:
    frozen: Checkpoint of the backbone.
    embedded: Split to encode.
    features: The features that are written.
    embed: Size and content of the files.
  """

  frozen: FrozenBackbone
  embedded: EmbeddedVideos
  features: Features
  embed: FeatureFiles

  @property
  def checkpoint(self) -> str:
    """The run, or one step in it, whose backbone is evaluated."""
    return self.frozen.checkpoint

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such clips, labels and splits."""
    super().check_dataset(index)
    if self.embed.label:
      choose("config.embed.label", self.embed.label, index.labels)
    if self.embedded.split:
      index.split(self.embedded.split)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Writes the features of a split, by default of the whole dataset.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets the files, config.json, result.json
      and report.html. Files that this run has written already are kept.

  Returns:
    The content of result.json, with a row for each file in `rows`.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
  """
  options, run_config = TASK.resolve(config)
  evaluation = options.open()
  loaded = pretrained.load(options.checkpoint, evaluation.mesh, options.model)
  source, label = evaluation.source, options.embed.label
  videos = np.arange(len(source))
  if options.embedded.split:
    videos = source.index.split(options.embedded.split)
  describe = features.make_describe(options.model, options.features)
  encoder = features.make_encoder(
    lambda *arguments: {"features": describe(*arguments)},
    evaluation.view,
    evaluation.mesh,
  )
  stamp = make_stamp("embed", run_config, loaded.name, source)
  result = results.read_result(workdir)
  rows = []
  if stamp.items() <= result.items():
    rows = result["rows"]
    evaluation.recall(result)
  written = {row["name"]: row for row in rows}
  results.write_config(workdir, run_config.values)
  shards = range(0, len(videos), options.embed.shard)
  for i, first in enumerate(shards):
    name = f"features-{i:05d}-of-{len(shards):05d}.npz"
    if name in written and files.exists(epath.Path(workdir) / name):
      _log.info("%s exists already", name)
      continue
    outputs = evaluation.encode(
      encoder,
      loaded.variables,
      videos[first : first + options.embed.shard],
      label=label,
      title=name,
    )
    _write_features(
      epath.Path(workdir) / name, outputs, source.index.labels.get(label)
    )
    vectors = outputs.values["features"]
    size = {"vectors": len(vectors), "width": vectors.shape[1]}
    written[name] = {"name": name} | size
    rows = [written[name] for name in sorted(written)]
    result = results.write_result(
      workdir, stamp | evaluation.omissions | {"rows": rows}
    )
  count = len(videos) - len(evaluation.left_out)
  print(f"features of {count:,} videos: {workdir}/features-*.npz")
  for line in describe_left_out(result):
    print(line)
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


def _write_features(
  path: epath.Path, outputs: Outputs, classes: tuple[str, ...] | None
) -> None:
  """Writes a file of features, whole or not at all, on process 0.

  The file has `ids`, str [N]; `features`, float32 [N, D]; `frames`, int64
  [N, 2], the first frame of each segment and the frame after its last; and,
  with a label, `labels`, str [N], the names of the classes.

  Args:
    path: Path of the file.
    outputs: The features of N segments.
    classes: Names of the classes, by number; None without a label.
  """
  if jax.process_index():
    return
  frames = [(segment.first, segment.stop) for segment in outputs.segments]
  arrays = {
    "ids": np.array(outputs.ids),
    "features": outputs.values["features"],
    "frames": np.array(frames),
  }
  if classes:
    arrays["labels"] = np.array([classes[n] for n in outputs.labels])
  file = io.BytesIO()
  np.savez(file, **arrays)
  files.write(path, file.getvalue())


TASK = Task(
  "embed",
  "embedding",
  Embed,
  run,
  recipe={"data.split": "", "features.pool": "average"},
  batches=("test.batch_size",),
)
