"""Runs on the hosts of a TPU slice of a GKE cluster, as a JobSet.

Prints the manifest. --apply passes it to kubectl, which uses the cluster of its
current context. The cluster needs the JobSet controller, and a node pool of the
slice's shape.
"""

import argparse
import subprocess
from collections.abc import Sequence
from typing import Any

import yaml

from hdc_jax.errors import ConfigError
from hdc_jax.runtime import commands
from launch import outcomes, slice_run
from launch.gcloud import HOST
from launch.shell import require
from launch.slice_run import SliceRun

_EXAMPLES = r"""example:
  python -m launch.gke --name=k400-hdc --slice=v5e:16x16 --capacity=spot \
    --zone=us-west4-a \
    --code=https://github.com/me/hdc-jax.git@0123…full…commit --apply -- \
    --config=configs/r3d18.py --config.data.path=gs://my-bucket/k400 \
    --config.data.batch_size=4096 --workdir=gs://my-bucket/runs/k400-hdc

  Of the hosts, the first says how it goes:
  kubectl logs --follow --tail=-1 -l \
    jobset.sigs.k8s.io/jobset-name=k400-hdc,batch.kubernetes.io/job-completion-index=0
  kubectl delete jobset,configmap k400-hdc

Exit codes 2, 3, 4 and 9 of any host end it. After 5, 6, 8 and all others, and
lost nodes, it starts again on all hosts, --retries times.
"""

_CONTAINER = "run"
# Capacity → labels of its nodes; reserved ones have the reservation's name.
_CAPACITY = {"spot": {"cloud.google.com/gke-spot": "true"}}


def manifest(
  run: SliceRun, image: str, reservation: str
) -> list[dict[str, Any]]:
  """Makes the Kubernetes objects of a run.

  Args:
    run: The run.
    image: Name of the container image, which has Python, pip and git, and
      gcloud if the code is in a bucket.
    reservation: Name of the reservation; '' for other capacities.

  Returns:
    The ConfigMap with the host script, and the JobSet.

  Raises:
    ConfigError: If capacity and reservation contradict each other.
  """
  if bool(reservation) != (run.capacity == "reserved"):
    raise ConfigError(
      f"--reservation={reservation}: --capacity=reserved needs one, and no "
      "other capacity does"
    )
  script = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": run.name},
    "data": {HOST.name: HOST.read_text()},
  }
  jobset = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {
      "name": run.name,
      # All hosts of a job belong to one slice, if there are several. GKE tells
      # them of the other jobs, with which they are joined.
      "annotations": {
        "alpha.jobset.sigs.k8s.io/exclusive-topology": (
          "cloud.google.com/gke-nodepool"
        )
      },
    },
    "spec": {
      # By default a failed job restarts the set, on all hosts.
      "failurePolicy": {
        "maxRestarts": run.retries,
        "rules": [
          {
            "name": "final",
            "action": "FailJobSet",
            "onJobFailureReasons": ["PodFailurePolicy"],
          }
        ],
      },
      "replicatedJobs": [
        {
          "name": "slice",
          "replicas": run.slice.count,
          "template": {"spec": _job(run, image, reservation)},
        }
      ],
    },
  }
  return [script, jobset]


def _job(run: SliceRun, image: str, reservation: str) -> dict[str, Any]:
  """The spec of the job of a slice, which has a pod for each host."""
  final = {
    "containerName": _CONTAINER,
    "operator": "In",
    "values": list(outcomes.FINAL),
  }
  return {
    "completionMode": "Indexed",
    "parallelism": run.slice.hosts_per_slice,
    "completions": run.slice.hosts_per_slice,
    "backoffLimit": 0,
    "podFailurePolicy": {
      "rules": [{"action": "FailJob", "onExitCodes": final}]
    },
    "template": {"spec": _pod(run, image, reservation)},
  }


def _pod(run: SliceRun, image: str, reservation: str) -> dict[str, Any]:
  """The spec of the pod of a host."""
  selector = {
    **run.slice.gke_selectors,
    **_CAPACITY.get(run.capacity, {}),
    "topology.kubernetes.io/zone": run.zone,
  }
  if reservation:
    selector["cloud.google.com/reservation-name"] = reservation
  env = {"HDC_CODE": run.code, "HDC_WORDS": run.encoded_words}
  return {
    "restartPolicy": "Never",
    # A preempted run has this time to save its state.
    "terminationGracePeriodSeconds": 300,
    "nodeSelector": selector,
    "containers": [
      {
        "name": _CONTAINER,
        "image": image,
        "command": ["bash", f"/launch/{HOST.name}", "setup", "run"],
        "env": [{"name": n, "value": v} for n, v in env.items()],
        "resources": {"limits": {"google.com/tpu": run.slice.chips_per_host}},
        "volumeMounts": [
          {"name": "launch", "mountPath": "/launch"},
          {"name": "shm", "mountPath": "/dev/shm"},
        ],
      }
    ],
    "volumes": [
      {"name": "launch", "configMap": {"name": run.name}},
      # Space for a copy of the dataset; the default is 64 MiB.
      {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ],
  }


class _Dumper(yaml.SafeDumper):
  """Writes strings of several lines as YAML blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
  style = "|" if "\n" in text else None
  return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def render(documents: Sequence[dict[str, Any]]) -> str:
  """Formats documents as YAML."""
  return yaml.dump_all(
    documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Prints or applies the manifest of the run on the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code; with --apply, that of kubectl.
  """
  return commands.run(_parse, _run, argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = slice_run.make_parser("python -m launch.gke", __doc__, _EXAMPLES)
  add = parser.add_argument
  add(
    "--image",
    default="python:3.12",
    help="with Python, pip and git, and gcloud for gs:// code; by default "
    "%(default)s",
  )
  add("--reservation", default="", metavar="NAME", help="for reserved capacity")
  add(
    "--apply",
    action="store_true",
    help="hand it to kubectl, but with --dry_run",
  )
  return slice_run.parse(parser, argv)


def _run(flags: argparse.Namespace) -> int:
  """Prints or applies the manifest; returns the exit code."""
  text = render(manifest(flags.run, flags.image, flags.reservation))
  if flags.dry_run or not flags.apply:
    print(text, end="")
    return 0
  require("kubectl")
  kubectl = ("kubectl", "apply", "--filename=-")
  return subprocess.run(kubectl, input=text, text=True, check=False).returncode


if __name__ == "__main__":
  commands.leave(main())
