"""How processes are told to join; real runs: test_runs_of_processes."""

import jax
import pytest

from hdc_jax.distributed import processes
from hdc_jax.distributed.processes import Cluster
from hdc_jax.errors import ConfigError


@pytest.fixture
def joined(monkeypatch):
  """What JAX was asked for."""
  calls = []

  def initialize(*arguments, **options):
    del options
    calls.append(arguments)

  monkeypatch.setattr(jax.distributed, "initialize", initialize)
  return calls


def test_a_process_can_be_alone(joined):
  processes.join(Cluster())
  assert joined == []


def test_a_cluster_can_be_described(joined):
  processes.join(Cluster("a:1", 2, 1))
  assert joined == [("a:1", 2, 1)]


def test_it_can_be_found(joined):
  processes.join(Cluster("auto"))
  assert joined == [(None, None, None)]


def test_on_a_tpu_it_is_found(joined, monkeypatch):
  monkeypatch.setattr(
    type(jax.config), "jax_platforms", property(lambda _: "tpu,cpu")
  )
  processes.join(Cluster())
  assert joined == [(None, None, None)]


@pytest.mark.parametrize(
  "cluster",
  [
    Cluster("a:1"),
    Cluster("a:1", 2),
    Cluster("a:1", process=0),
    Cluster("", 2, 1),
    Cluster("auto", 2, 1),
  ],
)
def test_half_a_description_is_none(cluster, joined):
  with pytest.raises(ConfigError, match="belong together"):
    processes.join(cluster)
  assert joined == []


@pytest.mark.parametrize("cluster", [Cluster("auto"), Cluster("a:1", 2, 2)])
def test_a_cluster_that_is_not_there(cluster):
  with pytest.raises(ConfigError, match=r"--coordinator=.*: cannot join: "):
    processes.join(cluster)


@pytest.mark.parametrize("value", [None, "× σ", {"a": [1, 2.5]}])
def test_one_process_tells_itself(value):
  assert processes.exchange(value) == [value]
