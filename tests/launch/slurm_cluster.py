"""A Slurm cluster on this machine: its real daemons, in one directory.

It has no database and no control groups: processes are found by their parents.
The node claims more CPUs than there are, and GPUs, which are empty files.
"""

import contextlib
import getpass
import os
import shutil
import subprocess
import time

from tests import hosts

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# Debian has daemons where only root looks for commands.
_PATH = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
_GPUS = 32

# A job that is queued again begins when the credentials of its last start are
# no longer valid; five seconds is the least that Slurm takes.
_CONFIG = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
KillWait=5
MailProg=/bin/true
GresTypes=gpu
MpiDefault=none
NodeName=localhost NodeAddr=127.0.0.1 CPUs={gpus} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES State=UP
"""


def missing():
  """Names of the programs that are not installed."""
  return [name for name in _PROGRAMS if not shutil.which(name, path=_PATH)]


@contextlib.contextmanager
def running(root):
  """Runs a cluster.

  Args:
    root: directory for all its files; a short path, for the sake of a socket.

  Yields:
    The environment variables by which the commands of Slurm find it.
  """
  for name in ("state", "spool"):
    (root / name).mkdir()
  config = _CONFIG.format(
    root=root,
    user=getpass.getuser(),
    gpus=_GPUS,
    controller_port=hosts.free_port(),
    node_port=hosts.free_port(),
  )
  (root / "slurm.conf").write_text(config)
  for number in range(_GPUS):
    (root / f"gpu{number}").touch()
  devices = f"NodeName=localhost Name=gpu File={root}/gpu[0-{_GPUS - 1}]\n"
  (root / "gres.conf").write_text(devices)
  (root / "key").write_bytes(os.urandom(128))
  (root / "key").chmod(0o400)
  env = os.environ | {"SLURM_CONF": str(root / "slurm.conf"), "PATH": _PATH}
  munged = (
    *("munged", "--foreground", "--force", f"--key-file={root}/key"),
    *(f"--{name}-file={root}/munge.{name}" for name in ("pid", "log", "seed")),
    f"--socket={root}/munge.socket",
  )
  with contextlib.ExitStack() as stack:
    stack.enter_context(_daemon(munged, env, root))
    wait_for(lambda: (root / "munge.socket").exists())
    stack.enter_context(_daemon(("slurmctld", "-D", "-c"), env, root))
    stack.enter_context(_daemon(("slurmd", "-D", "-N", "localhost"), env, root))
    wait_for(lambda: ask(env, "sinfo", "-h", "-o%T") == "idle")
    try:
      yield env
    finally:
      ask(env, "scancel", f"--user={getpass.getuser()}")
      wait_for(lambda: not ask(env, "squeue", "-h"))


@contextlib.contextmanager
def _daemon(command, env, root):
  """Runs a daemon in the foreground, with a log in the directory."""
  with (root / f"{command[0]}.log").open("wb") as log:
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
      yield
    finally:
      process.terminate()
      process.wait(30)


def ask(env, *command):
  """What a command says; nothing if it fails, as before a daemon is up."""
  done = subprocess.run(
    command, env=env, capture_output=True, text=True, check=False
  )
  return done.stdout.strip()


def wait_for(condition, seconds=300):
  """Waits until a condition holds; fails after some seconds."""
  deadline = time.monotonic() + seconds
  while not (value := condition()):
    assert time.monotonic() < deadline, condition
    time.sleep(0.1)
  return value
