"""A run on a slice, from nothing to its end, with all that can come between."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

from hdc_jax.errors import ConfigError
from launch import outcomes, tpu_vm
from launch.gcloud import ENDED, Commands
from launch.shell import Processes
from tests.launch import example

pytestmark = example.READS_CONFIGS

WHY = "yaml(state)"
ABSENT = {"code": 1, "err": "ERROR: (gcloud) NOT_FOUND: no such resource"}
SETUP, RUN = "host.sh setup", "host.sh run"
UP = ["create", "scp", SETUP, RUN]
FAKE = pathlib.Path(__file__).with_name("fake_gcloud.py")


def states(*names):
  return [ABSENT, *({"out": name} for name in names)]


def codes(*values):
  return [{"code": value} for value in values]


def ended(*hosts, between=""):
  """What gcloud does when the hosts end so; a lost one (255) says nothing."""
  said = (f"{ENDED} {code}\n" for code in hosts if code != 255)
  return {
    "code": next((code for code in hosts if code), 0),
    "out": between.join(said),
  }


def runs(*values):
  """Of four hosts that end with the same codes."""
  return [ended(*[value] * 4) for value in values]


@pytest.fixture
def gcloud(tmp_path, monkeypatch):
  """Puts the fake one first on PATH; returns how to script it."""
  tool = tmp_path / "gcloud"
  tool.write_text(f"#!{sys.executable} -IS\n{FAKE.read_text()}")
  tool.chmod(0o755)
  monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
  monkeypatch.setenv("FAKE_GCLOUD", str(tmp_path))

  def script(**answers):
    answers = {"describe": states("ACTIVE")} | answers
    (tmp_path / "answers.json").write_text(json.dumps(answers))

  script()
  return script


def calls():
  """The kinds of commands so far, in order."""
  path = pathlib.Path(os.environ["FAKE_GCLOUD"], "calls.jsonl")
  lines = path.read_text().splitlines() if path.exists() else []
  return [json.loads(line)["kind"] for line in lines]


def changes():
  """Those that change something."""
  return [kind for kind in calls() if kind not in ("describe", WHY)]


def launch(poll_seconds=0, **changes):
  run = example.run("--project=project", **changes)
  commands = Commands(run, "project")
  return tpu_vm.Launcher(commands, Processes(), poll_seconds).launch()


@pytest.fixture
def pauses(monkeypatch):
  """Seconds it sleeps, without sleeping, and the last change before."""
  slept = []
  monkeypatch.setattr(
    Processes,
    "sleep",
    lambda _, seconds: slept.append((seconds, changes()[-1])),
  )
  return slept


def test_waits_runs_and_deletes(gcloud):
  gcloud(describe=states("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"))
  assert launch() == 0
  assert changes() == [*UP, "delete"]
  assert calls().count("describe") == 4


@pytest.mark.parametrize("code", [1, 2, 3, 4, 9])
def test_failures_end_with_their_code(gcloud, code):
  gcloud(**{RUN: runs(code)})
  assert launch() == code
  assert changes() == [*UP, "delete"]


def test_a_preempted_run_goes_on_from_a_new_slice(gcloud):
  again = (*outcomes.AGAIN, *outcomes.KILLED)
  gcloud(**{RUN: runs(*again, 0)})
  assert launch() == 0
  assert changes() == [*UP, "delete"] * (len(again) + 1)


@pytest.mark.parametrize("code", [1, 120])
def test_a_lost_slice_is_replaced(gcloud, code):
  gcloud(
    describe=states("ACTIVE", "SUSPENDED", "ACTIVE"), **{RUN: runs(code, 0)}
  )
  assert launch() == 0
  assert changes() == [*UP, "delete"] * 2


@pytest.mark.parametrize(
  "hosts", [(255, 134, 134, 134), (134, 134, 134, 255), (0, 1, 255, 0)]
)
def test_unreachable_hosts_are_lost_whatever_the_state(gcloud, hosts):
  """The code of gcloud can be that of a host that is there."""
  gcloud(**{RUN: [ended(*hosts), *runs(0)]})
  assert launch() == 0
  assert changes() == [*UP, "delete"] * 2


def test_hosts_that_cannot_be_set_up_are_lost(gcloud):
  gcloud(**{SETUP: codes(255, 0)})
  assert launch() == 0
  assert changes() == ["create", "scp", SETUP, "delete", *UP, "delete"]


def test_what_hosts_end_with_is_found_in_much_output(gcloud):
  chatter = "E0101 a line of a stack trace\n" * 2000
  gcloud(**{RUN: [ended(1, 1, 1, 1, between=chatter)]})
  assert launch() == 1


@pytest.mark.parametrize("state", ["SUSPENDING", "SUSPENDED", "DELETING"])
def test_lost_before_it_was_there(gcloud, state):
  gcloud(describe=states("PROVISIONING", state, "ACTIVE"))
  assert launch() == 0
  assert changes() == ["create", "delete", *UP, "delete"]


def test_failed_at_first_is_an_error(gcloud, caplog):
  caplog.set_level("INFO")
  gcloud(
    describe=states("PROVISIONING", "FAILED"),
    **{WHY: [{"out": "failedData:\n  error: IN_USE_ADDRESSES"}]},
  )
  assert launch() == 1
  assert changes() == ["create", "delete"]
  assert calls().index(WHY) < calls().index("delete")
  assert "error: IN_USE_ADDRESSES" in caplog.text


@pytest.mark.parametrize("retries", [0, 2])
def test_failed_later_is_bad_luck_a_few_times(gcloud, retries):
  gcloud(describe=states("ACTIVE", "FAILED"), **{RUN: runs(5)})
  assert launch(retries=retries) == 5
  assert changes() == [*UP, "delete", *["create", "delete"] * retries]


def test_slices_that_fail_are_queued_again_ever_later(gcloud, pauses):
  gcloud(
    create=codes(0, 1, 1, 0, 0, 1, 0),
    **{SETUP: codes(0, 1, 0), RUN: runs(5, 5, 0)},
  )
  assert launch(poll_seconds=30) == 0
  # Twice in the queue and once at the setup, then the run; once in the queue.
  assert pauses == [(seconds, "delete") for seconds in (30, 60, 120, 30)]


def test_setup_that_fails_is_an_error_at_first(gcloud):
  gcloud(**{SETUP: codes(2)})
  assert launch() == 1
  assert changes() == ["create", "scp", SETUP, "delete"]


def test_setup_that_fails_later_is_bad_luck(gcloud):
  gcloud(**{SETUP: codes(0, 1, 0), RUN: runs(5, 0)})
  assert launch() == 0
  assert changes().count(SETUP) == 3


@pytest.mark.parametrize(
  ("hosts", "code"),
  [
    ((134, 3, 134, 134), 3),
    ((134, 3, 134, 255), 3),
    ((1, 5, 134, 134), 5),
    ((6, 134, 134, 134), 5),
    ((5, 4, 5, 5), 4),
    ((134, 1, 1, 1), 1),
  ],
)
def test_the_host_that_knows_decides(gcloud, hosts, code):
  """What gcloud ends with is the code of the first."""
  # Their lines can run into each other.
  gcloud(**{RUN: [ended(*hosts, between="loss 0.1 ")]})
  assert launch(retries=0) == code


def test_a_blip_is_not_a_loss(gcloud):
  blip = {"code": 1, "err": "connection reset"}
  gcloud(describe=[ABSENT, blip, blip, {"out": "ACTIVE", "err": "WARNING"}])
  assert launch() == 0
  assert changes() == [*UP, "delete"]


@pytest.mark.parametrize(
  ("answer", "state"),
  [({"out": "ACTIVE"}, "ACTIVE"), ({"code": 1, "err": "no net"}, "UNKNOWN")],
)
def test_what_was_there_before_is_left_alone(gcloud, answer, state):
  gcloud(describe=[answer])
  with pytest.raises(ConfigError, match=f"there may be one already, {state}"):
    launch()
  assert changes() == []


def test_deletion_is_tried_until_it_is_done(gcloud, pauses, caplog):
  busy = {"code": 1, "err": "it is PROVISIONING"}
  gcloud(delete=[*[busy] * 6, {}, {}], **{RUN: runs(5, 0)})
  assert launch(poll_seconds=30) == 0
  assert changes() == [*UP, *["delete"] * 7, *UP, "delete"]
  assert [s for s, _ in pauses] == [30, 60, 120, 240, 300, 300]
  assert caplog.text.count("it is PROVISIONING") == 6


@pytest.mark.parametrize("where", ["delete", "describe"])
def test_what_is_gone_needs_no_deletion(gcloud, where):
  gcloud(
    **{"delete": codes(1), "describe": states("ACTIVE", "DELETING")}
    | {where: [ABSENT, {"out": "ACTIVE"}, ABSENT]}
  )
  assert launch() == 0
  assert changes() == [*UP, "delete"]


@pytest.mark.parametrize(("run", "code"), [(0, 130), (5, 130), (3, 3)])
def test_what_is_not_deleted_is_not_forgotten(
  gcloud, caplog, monkeypatch, run, code
):
  def interrupted(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(Processes, "sleep", interrupted)
  gcloud(delete=codes(1), **{RUN: runs(run)})
  assert launch() == code
  assert changes() == [*UP, "delete"]
  assert "NOT DELETED" in caplog.text
  assert "queued-resources delete k400-hdc" in caplog.text


def wait_for(kind):
  deadline = time.monotonic() + 30
  while kind not in calls() and time.monotonic() < deadline:
    time.sleep(0.01)


def started():
  return subprocess.Popen(
    [
      *(sys.executable, "-m", "launch.tpu_vm"),
      *example.argv("--project=p", "--poll_seconds=60"),
    ],
    cwd=example.ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_again_ends_the_waiting(gcloud, kind):
  gcloud(**{RUN: [{"seconds": 60}], "delete": codes(1)})
  process = started()
  try:
    wait_for(RUN)
    process.send_signal(kind)
    assert any("not deleted, again in 60 s" in line for line in process.stderr)
    time.sleep(0.2)
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=30)
  finally:
    process.kill()
  assert process.returncode == 130, stderr
  assert "NOT DELETED" in stderr
  assert changes() == [*UP, "delete"]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("kind", "when"),
  [
    (signal.SIGINT, "create"),
    (signal.SIGINT, RUN),
    (signal.SIGTERM, RUN),
    (signal.SIGHUP, RUN),
  ],
)
def test_ctrl_c_deletes(gcloud, kind, when):
  """Once, even if it is pressed again; gcloud gets it as well."""
  gcloud(**{when: [{"seconds": 60}], "delete": [{"seconds": 0.2}]})
  process = started()
  try:
    wait_for(when)
    process.send_signal(kind)
    wait_for("delete")
    os.killpg(process.pid, kind)
    _, stderr = process.communicate(timeout=30)
  finally:
    process.kill()
  assert process.returncode == 130, stderr
  assert changes() == [*UP[: UP.index(when) + 1], "delete"]


def test_a_bug_of_the_launcher_deletes(gcloud, monkeypatch, caplog):
  monkeypatch.setattr(Processes, "follow", lambda *_: 1 / 0)
  assert launch() == 1
  assert changes() == ["create", "delete"]
  assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("capacity", ["on-demand", "spot", "reserved"])
def test_dry_run(capacity, capsys, monkeypatch):
  monkeypatch.chdir(example.ROOT)
  monkeypatch.setenv("PATH", "/nowhere")
  argv = example.argv("--project=p", "--dry_run", capacity=capacity)
  assert tpu_vm.main(argv) == 0
  golden = example.GOLDEN / f"tpu_vm-{capacity}.txt"
  assert capsys.readouterr().out == golden.read_text()


def test_dry_run_of_joined_slices(capsys, monkeypatch):
  monkeypatch.chdir(example.ROOT)
  args = (*example.ARGS, "--config.data.batch_size=4096")
  flags = "--project=p", "--dry_run"
  argv = example.argv(*flags, args=args, slice="4*v5e:16x16")
  assert tpu_vm.main(argv) == 0
  golden = example.GOLDEN / "tpu_vm-joined.txt"
  assert capsys.readouterr().out == golden.read_text()


def test_a_dry_run_prints_what_a_run_does(gcloud, capsys, monkeypatch):
  monkeypatch.chdir(example.ROOT)
  assert tpu_vm.main(example.argv("--project=project", "--dry_run")) == 0
  printed = capsys.readouterr().out
  # Pasted into a shell, it is the same calls.
  subprocess.run(["sh", "-c", printed], check=True, capture_output=True)
  path = pathlib.Path(os.environ["FAKE_GCLOUD"], "calls.jsonl")
  pasted = path.read_text()
  path.unlink()
  assert launch() == 0
  assert path.read_text() == pasted


def test_the_readme_shows_a_real_dry_run(capsys, monkeypatch):
  monkeypatch.chdir(example.ROOT)
  readme = (example.ROOT / "launch" / "README.md").read_text()
  _, _, rest = readme.partition("$ python -m launch.tpu_vm")
  command, _, rest = rest.partition("gcloud")
  shown = "gcloud" + rest.partition("```")[0]
  assert tpu_vm.main(shlex.split(command.replace("\\\n", ""))) == 0
  assert capsys.readouterr().out == shown
