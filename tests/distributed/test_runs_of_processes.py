"""Runs of `hdc_jax.main` by several real processes, which share one mind."""

import os
import pathlib
import re
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError, DataError, Lost, Preempted
from hdc_jax.runs import metrics, results
from hdc_jax.tasks import pretrain
from tests import hosts, small

pytestmark = pytest.mark.slow

_DEVICES = 4
_STEPS = 4
_UNPROBED = (
  f"--config={hosts.ROOT}/configs/tiny.py",
  *small.FLAGS,
  "--config.method.contrasts=('spatial',)",
  # Its keys are of all processes, each of which holds a share.
  "--config.method.momentum=0.9",
  "--config.method.queue=16",
  "--config.data.batch_size=8",
  "--config.data.threads=2",
  f"--config.train.steps={_STEPS}",
  "--config.train.log_every=1",
  "--config.train.checkpoint_every=2",
)
_FLAGS = (
  *_UNPROBED,
  "--config.probe.every=100",
  "--config.probe.videos=8",
)


def run(processes, workdir, *flags):
  """Runs to the end; gives the output of each process."""
  commands = hosts.main_commands(processes, f"--workdir={workdir}", *flags)
  found = hosts.finish(hosts.start(commands, _DEVICES // processes))
  for code, output in found:
    assert code == 0, output
  return [output for _, output in found]


def ids(outputs):
  """The ids of each global batch, in order: those of process 0 first."""
  by_process = [re.findall(r"D batch of (.*)", text) for text in outputs]
  return [
    [name for part in parts for name in part.split(", ")]
    for parts in zip(*by_process, strict=True)
  ]


def lines_of(workdir):
  """The lines of the probe, and those of the training."""
  lines = metrics.read_metrics(workdir)
  return [[m for m in lines if ("loss" in m) == kind] for kind in (False, True)]


def params(workdir, step):
  """As they were saved; needs the fixture `quick`."""
  with saving.Checkpoints(workdir) as saved:
    options = pretrain.TASK.schema.build(saved.config(step))
    training = options.make_training(mesh.make_mesh())
    return jax.device_get(training.restore_state(saved, step).state.params)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
  """The directory and the outputs of a run, by how many processes it had."""
  root = tmp_path_factory.mktemp("trained")
  data = f"--config.data.path={prepared}"
  return {
    n: (root / str(n), run(n, root / str(n), *_FLAGS, data, "--debug"))
    for n in (1, 2, 4)
  }


@pytest.mark.parametrize("processes", [2, 4])
def test_losses_and_params_do_not_depend_on_processes(
  trained, processes, quick
):
  (alone, _), (together, _) = trained[1], trained[processes]
  (_, want), (probed, got) = map(lines_of, (alone, together))
  assert [line["step"] for line in got] == list(range(1, _STEPS + 1))
  # The probe of the untrained network, and that of the last step.
  assert [line["step"] for line in probed] == [0, _STEPS]
  assert len(probed[0]) == len(probed[1]) == 1 + 2 * (2 * 5 + 1)
  for one, other in zip(want, got, strict=True):
    for name in set(one) - {"clips_per_second", "data_wait"}:
      np.testing.assert_allclose(other[name], one[name], rtol=2e-4)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-3, atol=2e-5),
    params(alone, _STEPS),
    params(together, _STEPS),
  )


@pytest.mark.parametrize("processes", [2, 4])
def test_the_ids_of_a_step_do_not_depend_on_processes(trained, processes):
  want, got = (ids(trained[n][1]) for n in (1, processes))
  assert len(want) >= _STEPS
  assert all(len(batch) == 8 for batch in got)
  # Processes may read ahead by another number of batches.
  for one, other in zip(want, got, strict=False):
    assert one == other


def test_lanes_do_not_depend_on_processes(prepared, tmp_path, quick):
  """Of two processes, each has a lane; the probe has videos of both."""
  data = f"--config.data.path={prepared}"
  flags = (*_FLAGS, data, "--config.data.lanes=2", "--debug")
  want, got = (ids(run(n, tmp_path / str(n), *flags)) for n in (1, 2))
  assert len(want) >= _STEPS
  for one, other in zip(want, got, strict=False):
    assert one == other
  (_, alone), (_, together) = (lines_of(tmp_path / name) for name in "12")
  losses = [[line["loss"] for line in each] for each in (alone, together)]
  np.testing.assert_allclose(*losses, rtol=2e-4)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_four_saved_others_resume(
  trained, processes, prepared, tmp_path, quick
):
  whole, outputs = trained[4]
  shutil.copytree(whole / "checkpoints", tmp_path / "checkpoints")
  shutil.rmtree(tmp_path / "checkpoints" / str(_STEPS))
  data = f"--config.data.path={prepared}"
  resumed = run(processes, tmp_path, *_FLAGS, data, "--debug")
  assert "resuming" in resumed[0]
  assert ids(resumed)[:2] == ids(outputs)[2:4]
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-3, atol=2e-5),
    params(whole, _STEPS),
    params(tmp_path, _STEPS),
  )


def test_only_the_first_process_writes_and_speaks(trained):
  for workdir, outputs in trained.values():
    result = results.read_result(workdir)
    assert result["device"] == f"{_DEVICES} × cpu"
    assert outputs[0].count(f"{_STEPS}/{_STEPS} steps") == 1
    for number, output in enumerate(outputs[1:], start=1):
      assert "steps, " not in output
      assert f"[{number}] " in output


def test_an_evaluation_counts_every_example_once(trained, prepared, tmp_path):
  """Features are compared, and not neighbours: some are equally near."""
  flags = (
    "--config=configs/tiny.py:task=embed",
    *small.FLAGS[:4],
    f"--config.data.path={prepared}",
    f"--config.checkpoint={trained[1][0]}",
    "--config.test.batch_size=8",
  )
  found = []
  for processes in (1, 2):
    run(processes, tmp_path / str(processes), *flags)
    (path,) = (tmp_path / str(processes)).glob("features-*.npz")
    with np.load(path) as archive:
      found.append(dict(archive))
  alone, together = found
  assert len(set(alone["ids"])) == len(alone["ids"]) == 30
  np.testing.assert_array_equal(together["ids"], alone["ids"])
  np.testing.assert_allclose(
    together["features"], alone["features"], rtol=1e-4, atol=1e-5
  )


def test_another_config_is_found_before_the_run(prepared, tmp_path):
  data = f"--config.data.path={prepared}"
  commands = hosts.main_commands(2, f"--workdir={tmp_path}", *_FLAGS, data)
  commands[1] += ("--config.optim.lr=0.2",)
  for code, output in hosts.finish(hosts.start(commands, 1)):
    assert code == ConfigError.exit_code
    assert re.search(
      r"error: config.optim.lr is 0.2 in process 1 \(.*\) and 0.1 in "
      r"process 0 \(.*\): give every process the same command",
      output,
    )
  assert not (tmp_path / results.CONFIG).exists()


def test_other_code_is_found_before_the_run(prepared, tmp_path):
  other = tmp_path / "other"
  for part in ("hdc_jax", "configs"):
    shutil.copytree(hosts.ROOT / part, other / part)
  with (other / "hdc_jax" / "losses.py").open("a") as file:
    file.write("# changed\n")
  data = f"--config.data.path={prepared}"
  workdir = tmp_path / "run"
  first, second = hosts.main_commands(2, f"--workdir={workdir}", *_FLAGS, data)
  started = hosts.start([first], 1) + hosts.start([second], 1, other)
  for code, output in hosts.finish(started):
    assert code == ConfigError.exit_code
    assert "error: hdc_jax/losses.py is " in output
    assert "install the same commit everywhere" in output


@pytest.mark.parametrize("processes", [2, 4])
def test_a_signal_to_one_stops_all_at_the_same_step(
  prepared, tmp_path, processes
):
  flags = (*_FLAGS, "--config.train.steps=100000")
  flags += ("--config.train.checkpoint_every=100000",)
  data = f"--config.data.path={prepared}"
  commands = hosts.main_commands(
    processes, f"--workdir={tmp_path}", *flags, data
  )
  started = hosts.start(commands, _DEVICES // processes)
  wait_for_steps(tmp_path, started)
  started[1].send_signal(signal.SIGTERM)
  for code, output in hosts.finish(started):
    assert code == Preempted.exit_code, output
  (step,) = saving.Checkpoints(tmp_path).steps
  assert metrics.read_metrics(tmp_path)[-1]["step"] == step
  assert f"stopped by SIGTERM at step {step}, which is saved" in output


def test_a_signal_to_one_stops_an_evaluation(trained, prepared, tmp_path):
  flags = (
    "--config=configs/tiny.py:task=retrieve",
    *small.FLAGS[:4],
    f"--config.data.path={prepared}",
    f"--config.checkpoint={trained[1][0]}",
    "--config.test.batch_size=8",
    "--config.test.clips=2000",
    "--config.retrieve.neighbours=3",
  )
  commands = hosts.main_commands(2, f"--workdir={tmp_path}", *flags)
  started = hosts.start(commands, 2)
  while not (tmp_path / results.CONFIG).exists():  # the encoding begins
    assert all(process.poll() is None for process in started)
    time.sleep(0.5)
  time.sleep(3.0)
  started[1].send_signal(signal.SIGTERM)
  for code, output in hosts.finish(started):
    assert code == Preempted.exit_code, output
    assert "error: stopped by SIGTERM: rerun the same command" in output
    assert "Traceback" not in output
  assert not (tmp_path / results.RESULT).exists()


def test_a_lost_process_ends_the_others_and_a_rerun_goes_on(prepared, tmp_path):
  """They save nothing more, and what is saved is whole."""
  flags = (*_UNPROBED, f"--config.data.path={prepared}")
  endless = (*flags, "--config.train.steps=100000")
  commands = hosts.main_commands(2, f"--workdir={tmp_path}", *endless)
  started = hosts.start(commands, 2)
  wait_for_steps(tmp_path, started)
  while not any(p.name.isdigit() for p in tmp_path.glob("checkpoints/*")):
    assert all(process.poll() is None for process in started)
    time.sleep(0.2)
  started[1].kill()
  start = time.monotonic()
  (code, output), _ = hosts.finish(started)
  assert time.monotonic() - start < 30.0
  assert code == Lost.exit_code, output
  assert "Traceback" not in output
  newest = max(saving.Checkpoints(tmp_path).steps)
  steps = f"--config.train.steps={newest + 1}"
  resumed = run(2, tmp_path, *flags, steps, "--debug")
  assert f"resuming {tmp_path} at step {newest}" in resumed[0]
  assert len(ids(resumed)) >= 1


@pytest.mark.parametrize("processes", [2, 4])
def test_a_lost_worker_of_one_ends_all(prepared, tmp_path, processes):
  flags = (*_UNPROBED, "--config.train.steps=100000", "--config.data.workers=1")
  data = f"--config.data.path={prepared}"
  commands = hosts.main_commands(
    processes, f"--workdir={tmp_path}", *flags, data
  )
  started = hosts.start(commands, _DEVICES // processes)
  wait_for_steps(tmp_path, started)
  (worker,) = workers_of(started[1].pid)
  os.kill(worker, signal.SIGKILL)
  start = time.monotonic()
  for code, output in hosts.finish(started):
    assert code == Lost.exit_code, output
    assert "of config.data.workers was killed by SIGKILL" in output
    assert "Traceback" not in output
  assert time.monotonic() - start < 30.0


def test_a_process_that_fails_ends_the_others(prepared, tmp_path):
  """Its data are damaged; the others know nothing of it, and wait for it."""
  for number in (0, 1):
    shutil.copytree(prepared, tmp_path / str(number) / "data")
  for shard in (tmp_path / "1" / "data").glob("*.array_record"):
    shard.write_bytes(bytes(shard.stat().st_size))
  flags = ("--config.data.path=data", f"--workdir={tmp_path / 'run'}")
  first, second = hosts.main_commands(2, *_UNPROBED, *flags)
  started = [
    *hosts.start([first], 2, tmp_path / "0"),
    *hosts.start([second], 2, tmp_path / "1"),
  ]
  for code, output in hosts.finish(started):
    assert code == DataError.exit_code, output
    assert "shards are not what index.json says" in output


def workers_of(pid):
  """The processes that a process has started to load data."""
  children = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
  pids = " ".join(path.read_text() for path in children).split()
  command = "multiprocessing.spawn import spawn_main"
  return [
    int(child)
    for child in pids
    if command in pathlib.Path(f"/proc/{child}/cmdline").read_text()
  ]


def wait_for_steps(workdir, started):
  """Until the first steps have been logged."""
  for _ in range(600):
    if len(metrics.read_metrics(workdir)) > 2:
      return
    if any(process.poll() is not None for process in started):
      break
    time.sleep(0.5)
  raise AssertionError(hosts.finish(started, end=True))
