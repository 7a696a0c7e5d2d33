"""A process of several, of which the last or the first one fails or is lost.

Arguments: the port of the coordinator, the number of processes, the number of
this one, the number of the one that fails, and how.
"""

import argparse
import os
import signal
import sys
import threading
import time

from hdc_jax.distributed import failures, processes
from hdc_jax.errors import DataError
from hdc_jax.runtime import commands, watchdog


def damage():
  raise DataError("shard 3 is damaged")


def hang():
  with watchdog.limited("a test", 1.0):
    time.sleep(600)


FAILURES = {
  "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
  "frozen": lambda: os.kill(os.getpid(), signal.SIGSTOP),
  "left": lambda: os._exit(0),
  "damage": damage,
  "hung": hang,
  "nothing": lambda: None,
}


def work(options):
  """Exchanges something with the others, again and again."""
  port, count, index, failing, how = options.words
  processes.join(processes.Cluster(f"localhost:{port}", int(count), int(index)))
  with failures.as_lost():
    for number in range(5 if how == "nothing" else 1000):
      processes.exchange(number)
      if number == 3 and index == failing:
        print(f"fails at {time.time()}", flush=True)
        FAILURES[how]()


def parse(argv):
  return argparse.Namespace(debug=False, words=argv)


def leave(code, line):
  together = processes.leave(code, line)
  print("left behind:", [thread.name for thread in threading.enumerate()])
  return together


if __name__ == "__main__":
  commands.leave(commands.run(parse, work, sys.argv[1:], part=leave))
