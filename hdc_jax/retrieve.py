"""Task `retrieve`: nearest-neighbour retrieval, without any training.

The protocol of video clip order prediction, which the HDC paper follows: clips
at evenly spread times, centre crop, features of the last block, their mean,
cosine distance; queries of one split search another, and a query is a hit at k
if its class is among its k nearest.
"""

import functools
import logging
from collections.abc import Sequence
from math import comb
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath
from jax.sharding import Mesh

from hdc_jax import config as config_lib
from hdc_jax import features, report, sheets
from hdc_jax.data import loader, sources
from hdc_jax.errors import DataError
from hdc_jax.train import checkpoint, metrics, sharding, trainer

_log = logging.getLogger(__name__)

_QUERY_BLOCK = 1024


@functools.partial(jax.jit, static_argnames="k")
def _nearest_block(
  queries: jax.Array,
  gallery: jax.Array,
  query_videos: jax.Array,
  gallery_videos: jax.Array,
  k: int,
) -> jax.Array:
  similarity = jnp.matmul(
    queries, gallery.T, precision=jax.lax.Precision.HIGHEST
  )
  same = query_videos[:, None] == gallery_videos[None, :]
  return jax.lax.top_k(jnp.where(same, -jnp.inf, similarity), k)[1]


def nearest(
  queries: np.ndarray,
  gallery: np.ndarray,
  query_videos: np.ndarray,
  gallery_videos: np.ndarray,
  k: int,
) -> np.ndarray:
  """The `k` nearest gallery vectors of every query, by cosine distance.

  Parts of the query's own video come last, so that a split can search itself.

  Args:
    queries: float32 [Q, D].
    gallery: float32 [G, D].
    query_videos: int [Q], which video each is of.
    gallery_videos: int [G].
    k: At most G.

  Returns:
    int32 [Q, k], nearest first.
  """

  def normalise(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

  queries, gallery = normalise(queries), jnp.asarray(normalise(gallery))
  blocks = [
    _nearest_block(
      queries[i : i + _QUERY_BLOCK],
      gallery,
      query_videos[i : i + _QUERY_BLOCK],
      gallery_videos,
      k,
    )
    for i in range(0, len(queries), _QUERY_BLOCK)
  ]
  return np.concatenate([jax.device_get(block) for block in blocks])


def hit_rates(hits: np.ndarray, ks: Sequence[int]) -> dict[str, float]:
  """Percentages of queries with a hit among the first k, for each k.

  Args:
    hits: bool [Q, K], whether the class of each neighbour is the query's.
    ks: Cut-offs; one beyond K counts all there are.

  Returns:
    'top<k>' → percentage.
  """
  return {f"top{k}": 100.0 * hits[:, :k].any(axis=1).mean() for k in ks}


@functools.cache
def _chance(others: int, size: int, k: int) -> float:
  """That `k` draws of `size`, of which `others` are wrong, hit once."""
  return 1.0 - comb(others, k) / comb(size, k)


def chance_rates(
  queries: features.Features, gallery: features.Features, ks: Sequence[int]
) -> dict[str, float]:
  """What `hit_rates` are in expectation for neighbours drawn at random."""
  sums = dict.fromkeys(ks, 0.0)
  for part in queries.parts:
    rest = gallery.labels[gallery.videos != part.video]
    others = int(np.sum(rest != part.label))
    for k in ks:
      sums[k] += _chance(others, len(rest), min(k, len(rest)))
  return {f"top{k}": 100.0 * sums[k] / len(queries.parts) for k in ks}


def load_weights(
  config: ml_collections.ConfigDict,
  mesh: Mesh,
  run: epath.PathLike,
  step: int,
) -> tuple[nn.Module, dict[str, Any]]:
  """The backbone's weights at a step of a run, and its initial ones.

  Returns:
    The backbone, and weights by name: 'trained' and, if asked for, 'untrained'.

  Raises:
    ConfigError: If the run is of another network.
  """
  with checkpoint.Checkpoints(run) as saved:
    pretrained = saved.config(step)
    config_lib.check_same(config, pretrained, ["model"], str(run))
    made = trainer.make_trainer(pretrained, mesh)
    state = made.restore_state(saved, step).state
  weights = {"trained": state.backbone()}
  if config.retrieve.untrained:
    weights["untrained"] = made.init_state().backbone()
  return made.backbone, weights


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Measures retrieval of every label in `config.retrieve.label`.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets result.json, pictures of neighbours and report.html. If it
      holds this very result, nothing is computed.

  Returns:
    What result.json holds; under `rows`, for each label, the rates of the
    trained network, of the untrained one and of chance.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
  """
  config_lib.require(
    "config.data.path", config.data.path, "name a prepared dataset"
  )
  config_lib.require(
    "config.checkpoint", config.checkpoint, "name the directory of a run"
  )
  source = sources.open(config.data.path, config.data.canvas)
  loader.check_clips(source, config.data, config.model.size)
  if not source.index.labels:
    raise DataError(
      f"{config.data.path}: its videos have no labels to retrieve by; prepare "
      "them from sub-folders, one for each class"
    )
  for label in config.retrieve.label:
    config_lib.choose("config.retrieve.label", label, source.index.labels)
  pretrained, step = checkpoint.find(config.checkpoint)

  stamp = {
    "task": "retrieve",
    "checkpoint": f"{pretrained}/checkpoints/{step}",
    "config_fingerprint": config_lib.fingerprint(config),
    "data_fingerprint": source.index.fingerprint,
  }
  result = metrics.read_result(workdir)
  if stamp.items() <= result.items():
    _log.info("%s holds this result already", workdir)
  else:
    metrics.write_config(workdir, config)
    rows = measure(config, workdir, source, pretrained, step)
    result = metrics.write_result(workdir, stamp | {"rows": rows})
  print(format_table(result["rows"]))
  drawn = [
    (f"Nearest neighbours by {label}", sheets.sheet_path(workdir, label))
    for label in config.retrieve.label
  ]
  page = report.write(workdir, runs=[pretrained, workdir], pictures=drawn)
  print(f"report: {page}")
  return result


def measure(
  config: ml_collections.ConfigDict,
  workdir: str,
  source: sources.Source,
  pretrained: epath.Path,
  step: int,
) -> list[dict[str, Any]]:
  """Encodes and searches; returns the rows of all labels."""
  mesh = sharding.make_mesh()
  sharding.check_batch_size(
    "config.retrieve.batch_size", config.retrieve.batch_size, mesh
  )
  backbone, weights = load_weights(config, mesh, pretrained, step)
  encode = features.make_encoder(backbone, config, mesh)
  rows = []
  for label in config.retrieve.label:
    rows += retrieve_label(config, workdir, encode, weights, source, label)
  return rows


def retrieve_label(
  config: ml_collections.ConfigDict,
  workdir: str,
  encode: features.Encoder,
  weights: dict[str, Any],
  source: sources.Source,
  label: str,
) -> list[dict[str, Any]]:
  """Measures one label, and draws a sheet of neighbours.

  Returns:
    A row per set of weights, and one for chance.
  """
  options = config.retrieve
  encoded = {
    split: features.extract(
      encode, weights, source, config, split=split, label=label
    )
    for split in dict.fromkeys((options.gallery, options.query))
  }
  gallery, queries = encoded[options.gallery], encoded[options.query]
  depth = min(max(options.topk), len(gallery.parts))
  rows = []
  for name in weights:
    neighbours = nearest(
      queries.vectors[name],
      gallery.vectors[name],
      queries.videos,
      gallery.videos,
      depth,
    )
    hits = gallery.labels[neighbours] == queries.labels[:, None]
    hits &= gallery.videos[neighbours] != queries.videos[:, None]
    if name == "trained":
      sheets.draw_sheet(
        config, workdir, source, label, queries, gallery, neighbours
      )
    rates = hit_rates(hits, options.topk)
    rows.append(
      {"name": f"{label}/{name}", "label": label, "network": name} | rates
    )
  chance = chance_rates(queries, gallery, options.topk)
  rows.append(
    {"name": f"{label}/chance", "label": label, "network": "chance"} | chance
  )
  return rows


def format_table(rows: Sequence[dict[str, Any]]) -> str:
  """The rows as text, a block per label."""
  rates = [name for name in rows[0] if name.startswith("top")]
  heads = ["top-" + name.removeprefix("top") for name in rates]
  lines = [f"{'label':<12}{'network':<12}" + "".join(f"{h:>8}" for h in heads)]
  previous = None
  for row in rows:
    shown = row["label"] if row["label"] != previous else ""
    previous = row["label"]
    numbers = "".join(f"{row[name]:8.1f}" for name in rates)
    lines.append(f"{shown:<12}{row['network']:<12}{numbers}")
  return "\n".join(lines)
