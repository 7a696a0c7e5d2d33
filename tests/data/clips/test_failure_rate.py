"""Too many bad videos stop a run soon, and few never do."""

import math

import numpy as np
import pytest
from scipy import integrate

from hdc_jax.data.clips import failure_rate
from hdc_jax.data.clips.failure_rate import FailureRate, log_evidence
from hdc_jax.errors import DataError


def stops_at(rate, limit, attempts, hosts, seed=0, alpha=None):
  """Of each host, the attempt at which the rule stops it; inf for never."""
  rng = np.random.default_rng(seed)
  alpha = alpha or failure_rate.FALSE_STOP
  stops = []
  for _ in range(hosts):
    tried = np.flatnonzero(rng.random(attempts) < rate) + 1
    evidence = log_evidence(np.arange(1, len(tried) + 1), tried, limit)
    over = np.flatnonzero(evidence > -math.log(alpha))
    stops.append(tried[over[0]] if over.size else math.inf)
  return np.array(stops)


@pytest.mark.parametrize(("failed", "tried"), [(0, 9), (3, 40), (7, 7)])
def test_the_evidence_is_the_mean_likelihood_ratio(failed, tried):
  limit = 0.02

  def ratio(p):
    fail, work = p / limit, (1 - p) / (1 - limit)
    return fail**failed * work ** (tried - failed) / (1 - limit)

  want, _ = integrate.quad(ratio, limit, 1)
  got = log_evidence(np.array(failed), np.array(tried), limit)
  np.testing.assert_allclose(got, math.log(want), rtol=1e-6)


def test_64_hosts_with_few_bad_videos_go_on():
  """20 runs of 64 hosts: 0.1 % of the videos fail, and 1 % may."""
  assert np.isinf(stops_at(0.001, 0.01, 20_000, hosts=1280)).all()


def test_64_hosts_with_many_bad_videos_stop_soon():
  """3 % fail and 1 % may: the first host stops before its 1,000th video."""
  assert stops_at(0.03, 0.01, 5000, hosts=64).min() < 1000
  assert stops_at(0.03, 0.01, 5000, hosts=64).max() < 5000


def test_the_chance_to_stop_is_what_is_stated():
  """At the limit itself, and although each failure is a look at it."""
  stopped = np.isfinite(stops_at(0.01, 0.01, 20_000, hosts=500, alpha=0.05))
  assert 0 < stopped.mean() < 0.05


@pytest.mark.parametrize("limit", [0.0, 0.01, 1.0])
def test_the_limits(limit):
  rate = FailureRate(limit, "config.data.max_bad")
  rate.add(0, 1000)
  if limit == 0:
    with pytest.raises(DataError, match=r"1 of 1001 .*max_bad=0:"):
      rate.add(1, 1)
    return
  rate.add(1, 1)
  if limit == 1:
    rate.add(10_000, 10_000)
  else:
    with pytest.raises(DataError, match=r"more than config.data.max_bad=0\.01"):
      rate.add(60, 60)
