"""Runs of tasks that share what they compile, or do nothing."""

import pytest

from hdc_jax.tasks import finetune_trial, tables
from hdc_jax.tasks import table_rows as jobs_lib
from tests.tasks import planning


@pytest.fixture(scope="module")
def classifiers():
  """Training and scorer by number of classes, compiled once for a module."""
  make, made = finetune_trial.TrialRunner._make_networks, {}

  def make_once(trainer, classes, classification):
    if classes not in made:
      made[classes] = make(trainer, classes, classification)
    return made[classes]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(finetune_trial.TrialRunner, "_make_networks", make_once)
    yield made


@pytest.fixture
def jobs(tmp_path, monkeypatch):
  """What runs the jobs of tables in `tmp_path`; no dataset is read."""
  made = planning.Jobs(tmp_path)
  monkeypatch.setattr(jobs_lib.Job, "run", lambda job: made.run(job))
  monkeypatch.setattr(tables.sources, "read_index", lambda path: None)
  return made
