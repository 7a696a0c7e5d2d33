"""Manifests: as they should look, valid, and true to the slice."""

import copy
import math
import pathlib

import pytest
import yaml

from hdc_jax.errors import ConfigError
from launch import gke, skypilot
from launch.gcloud import HOST
from tests.launch import example

pytestmark = example.READS_CONFIGS

SCHEMA = yaml.safe_load(
  pathlib.Path(__file__).with_name("jobset_schema.yaml").read_text()
)
TYPES = {"object": dict, "array": list, "string": str, "integer": int}
CAPACITIES = {
  "on-demand": (),
  "spot": (),
  "reserved": ("--reservation=my-reservation",),
}


def problems(schema, value, path="jobset"):
  """All that a value has against its schema; unknown fields are wrong too."""
  if not isinstance(value, TYPES[schema["type"]]):
    return [f"{path}: not {schema['type']}"]
  if value not in schema.get("enum", [value]):
    return [f"{path}: {value} is not one of {schema['enum']}"]
  if isinstance(value, list):
    items = ((schema["items"], inner, f"{path}[]") for inner in value)
    return [problem for item in items for problem in problems(*item)]
  if not isinstance(value, dict):
    return []
  missing = set(schema.get("required", ())) - set(value)
  found = [f"{path}: no {name}" for name in sorted(missing)]
  for name, inner in value.items():
    known = schema.get("properties", {}).get(
      name, schema.get("additionalProperties")
    )
    below = f"{path}.{name}"
    found += problems(known, inner, below) if known else [f"{below}: unknown"]
  return found


def hosts_make_up_the_slice(jobset):
  (job,) = jobset["spec"]["replicatedJobs"]
  job = job["template"]["spec"]
  pod = job["template"]["spec"]
  (container,) = pod["containers"]
  chips = container["resources"]["limits"]["google.com/tpu"]
  shape = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
  total = math.prod(int(side) for side in shape.split("x"))
  return job["parallelism"] == job["completions"] == total / chips


def manifest(capsys, capacity="spot", **changes):
  argv = example.argv(*CAPACITIES[capacity], capacity=capacity, **changes)
  assert gke.main(argv) == 0
  return capsys.readouterr().out


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_gke(capacity, capsys):
  text = manifest(capsys, capacity)
  script, jobset = yaml.safe_load_all(text)
  assert script["data"] == {"host.sh": HOST.read_text()}
  golden = example.GOLDEN / f"gke-{capacity}.yaml"
  assert text.split("\n---\n")[1] == golden.read_text()
  assert problems(SCHEMA, jobset) == []


@pytest.mark.parametrize("where", ["v4:4x4x4", "v5e:2x4", "v5p:2x2x2"])
def test_every_host_has_a_pod(where, capsys):
  _, jobset = yaml.safe_load_all(manifest(capsys, slice=where))
  assert hosts_make_up_the_slice(jobset)
  selector = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
  selector = selector["template"]["spec"]["nodeSelector"]
  selector["cloud.google.com/gke-tpu-topology"] = "8x8x8"
  assert not hosts_make_up_the_slice(jobset)


def test_joined_slices_have_a_job_each(capsys):
  _, jobset = yaml.safe_load_all(manifest(capsys, slice="2*v5e:4x4"))
  assert hosts_make_up_the_slice(jobset)
  (job,) = jobset["spec"]["replicatedJobs"]
  assert job["replicas"] == 2
  assert problems(SCHEMA, jobset) == []


def test_skypilot_does_not_join_slices(capsys):
  assert skypilot.main(example.argv(slice="2*v5e:4x4")) == 2
  assert "SkyPilot does not join 2 slices" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda s: s["replicatedJobs"][0].pop("name"), "no name"),
    (lambda s: s["failurePolicy"].update(restarts=1), "restarts: unknown"),
    (lambda s: s["failurePolicy"].update(maxRestarts="1"), "not integer"),
    (
      lambda s: s["failurePolicy"]["rules"][0].update(action="Fail"),
      "Fail is not one of",
    ),
  ],
)
def test_the_schema_notices(change, message, capsys):
  _, jobset = yaml.safe_load_all(manifest(capsys))
  broken = copy.deepcopy(jobset)
  change(broken["spec"])
  (found,) = problems(SCHEMA, broken)
  assert message in found


@pytest.mark.parametrize(
  ("capacity", "flags"), [("spot", ["--reservation=x"]), ("reserved", [])]
)
def test_a_reservation_goes_with_reserved(capacity, flags, capsys):
  assert gke.main(example.argv(*flags, capacity=capacity)) == 2
  assert "--reservation=" in capsys.readouterr().err


def test_apply_hands_it_to_kubectl(tmp_path, monkeypatch, capsys):
  tool = tmp_path / "kubectl"
  tool.write_text(
    f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat > {tmp_path}/in\nexit 9\n'
  )
  tool.chmod(0o755)
  printed = manifest(capsys)
  monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
  assert gke.main(example.argv("--apply")) == 9
  assert (tmp_path / "words").read_text() == "apply --filename=-\n"
  assert (tmp_path / "in").read_text() == printed


def test_a_dry_run_applies_nothing(capsys, monkeypatch):
  printed = manifest(capsys)
  monkeypatch.setenv("PATH", "/nowhere")
  assert gke.main(example.argv("--apply", "--dry_run")) == 0
  assert capsys.readouterr().out == printed


@pytest.mark.parametrize("capacity", ["on-demand", "spot"])
def test_skypilot(capacity, capsys):
  assert skypilot.main(example.argv(capacity=capacity)) == 0
  golden = example.GOLDEN / f"skypilot-{capacity}.yaml"
  text = capsys.readouterr().out
  assert text == golden.read_text()
  (mount,) = yaml.safe_load(text)["file_mounts"].values()
  assert (example.ROOT / mount).samefile(HOST)


def test_skypilot_has_no_reservations():
  with pytest.raises(ConfigError, match="choose from on-demand, spot"):
    skypilot.task(example.run(capacity="reserved"))
