"""Task `linear`: linear probes of a frozen backbone.

The protocol of CVRL: one linear layer on the L2-normalised average of the last
block; at the test the probabilities of several clips, in several crops each,
are averaged over the video. Choice: instead of being shown anew in each epoch,
every training video is augmented `linear.views` times and encoded once; so many
learning rates can be tried at the price of one, and a held-out part of the
training videos chooses among them. All of them are tested and reported.
"""

import logging
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from hdc_jax import report
from hdc_jax.data.clips import cutting
from hdc_jax.data.clips.test_clips import RandomLooks
from hdc_jax.errors import require
from hdc_jax.evaluate import features, probe, setup
from hdc_jax.evaluate import trials as trials_lib
from hdc_jax.methods import supervised
from hdc_jax.runs import results
from hdc_jax.runs.predictions import PREDICTIONS
from hdc_jax.runs.rows import format_rows

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Trains and tests probes, for each label, division and subset.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets result.json, report.html, and for each trial a directory with
      train.json (the list of its training videos) and predictions.npz. If it
      holds this very result, nothing is computed.

  Returns:
    What result.json holds; under `rows` the accuracies of every rate in each
    trial, and the means of those that were chosen, in per cent.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
  """
  require("config.linear.views", config.linear.views > 0, "how many per video?")
  recipe = _recipe(config.linear)
  made = setup.set_up(config, "linear")
  cutting.check_clips(
    made.source.index.short_side, config.data, config.model.size
  )
  result = results.read_result(workdir)
  if made.stamp.items() <= result.items():
    _log.info("%s holds this result already", workdir)
  else:
    results.write_config(workdir, config)
    prober = _Prober(config, recipe, made)
    rows = []
    for trials in _same_splits(trials_lib.trials(config, made.source, workdir)):
      rows += prober.measure(trials, workdir)
    chosen = [row for row in rows if row["chosen"]]
    means = trials_lib.summarise(chosen)
    found = {k: (means or chosen)[0][k] for k in ("top1", "top5")}
    result = results.write_result(
      workdir, made.stamp | found | {"rows": rows + means}
    )
  print(format_rows(result["rows"]))
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


def _recipe(options: ml_collections.ConfigDict) -> probe.Recipe:
  return probe.Recipe(
    options.rates, options.epochs, options.warmup_epochs, options.batch_size
  )


def _same_splits(
  trials: Sequence[trials_lib.Trial],
) -> list[list[trials_lib.Trial]]:
  """The trials of each label and division: they share features."""
  groups: dict[tuple[str, str], list[trials_lib.Trial]] = {}
  for trial in trials:
    groups.setdefault((trial.label, trial.fold), []).append(trial)
  return list(groups.values())


class _Prober:
  """Encodes with a frozen backbone, and trains and tests probes."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    recipe: probe.Recipe,
    made: setup.Setup,
  ) -> None:
    """Builds what all trials share."""
    self._config, self._recipe = config, recipe
    self._source, self._mesh = made.source, made.mesh
    self._variables, self._looks = made.loaded.variables, made.looks
    describe = features.make_describe(config)

    def score(weights: Any, clips: jax.Array) -> dict[str, jax.Array]:
      found = describe(weights["backbone"], clips)
      return {"scores": probe.scores(weights["probes"], found)}

    self._encode = features.make_encoder(
      lambda *arguments: {"features": describe(*arguments)},
      supervised.training_view(config),
      made.mesh,
      config.seed,
    )
    self._score = features.make_encoder(
      score, features.centre_view(self._looks.size), made.mesh
    )

  def measure(
    self, trials: Sequence[trials_lib.Trial], workdir: str
  ) -> list[dict[str, Any]]:
    """The rows of trials that differ only in their subset: one per rate."""
    first, rates = trials[0], self._recipe.rates
    numbers = np.unique(np.concatenate([trial.train for trial in trials]))
    train = self._features(numbers, first)
    sweeps = []
    for trial in trials:
      chosen = np.isin(train.videos, trial.train)
      sweeps.append(
        probe.sweep(
          train.values["features"][chosen],
          train.labels[chosen],
          len(first.classes),
          self._recipe,
          self._mesh,
          self._config.seed,
          self._config.linear.held_out,
        )
      )
    # The probes of all subsets see the test videos at once.
    probes = jax.tree.map(
      lambda *leaves: jnp.concatenate(leaves), *(s.probes for s in sweeps)
    )
    test = features.extract(
      self._score,
      {"backbone": self._variables, "probes": probes},
      self._source,
      self._source.index.split(first.test_split),
      self._config,
      self._mesh,
      label=first.label,
      looks=self._looks,
      title=f"{first.label} of {first.test_split}",
    )
    rows = []
    for i, (trial, sweep) in enumerate(zip(trials, sweeps, strict=True)):
      for j, rate in enumerate(rates):
        scores = test.values["scores"][:, i * len(rates) + j]
        predictions = trial.predictions(test, scores)
        best = j == sweep.best
        if best:
          predictions.save(epath.Path(workdir) / trial.name / PREDICTIONS)
        rows.append(
          trial.row
          | {"name": f"{trial.name}-rate{rate:g}", "rate": f"{rate:g}"}
          | {"chosen": "chosen" if best else ""}
          | _held_out(sweep.accuracies[j])
          | predictions.accuracies()
        )
    return rows

  def _features(
    self, numbers: np.ndarray, trial: trials_lib.Trial
  ) -> features.Outputs:
    """Of augmented clips of the training videos, [P, views, D]."""
    options = self._config
    looks = RandomLooks(
      options.data.frames,
      options.data.stride,
      min(options.data.canvas, self._source.index.short_side),
      options.linear.views,
      options.seed,
    )
    return features.extract(
      self._encode,
      self._variables,
      self._source,
      numbers,
      options,
      self._mesh,
      label=trial.label,
      looks=looks,
      average=False,
      title=f"{trial.label} of {trial.train_split}",
    )


def _held_out(accuracy: float) -> dict[str, float]:
  """Nothing, if nothing was held out: JSON has no NaN."""
  return {"held_out": float(accuracy)} if np.isfinite(accuracy) else {}
