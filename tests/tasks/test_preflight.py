"""Checks before a run; those between processes are in test_on_hosts."""

import collections
import os
import pathlib
import re

import pytest

from hdc_jax import main
from hdc_jax.data import feeding
from hdc_jax.data.store import cache
from hdc_jax.distributed import processes
from hdc_jax.errors import ConfigError, DataError, StorageError
from hdc_jax.runs import results
from hdc_jax.tasks import TASKS, input_rate, preflight
from tests import small
from tests.bucket import Bucket
from tests.tasks import planning


@pytest.fixture
def told(monkeypatch):
  """Lets a second process say what a function makes of what the first says."""

  def use(change):
    def exchange(value):
      return [value, change(value)]

    monkeypatch.setattr(processes, "exchange", exchange)

  return use


def config(path, task="pretrain", **changes):
  return small.tiny(task, data__path=str(path), **changes)


def test_what_is_ready(prepared, tmp_path):
  made = config(prepared)
  found = preflight.check(made, str(tmp_path / "run"))
  assert "processes  1, each with 8 × cpu" in found
  _, run_config = TASKS["pretrain"].resolve(made)
  assert run_config.fingerprint in found
  assert f"{prepared}: 30 videos in 2 shards" in found
  assert found.endswith("all is ready")
  assert list((tmp_path / "run").iterdir()) == []


def test_the_loader_is_measured_on_the_records(prepared, tmp_path, monkeypatch):
  """The clips of a step of this process, by what its cores cut in a second."""
  monkeypatch.setattr(feeding, "clips_per_second", lambda *_: 50.0)
  monkeypatch.setattr(os, "cpu_count", lambda: 4)
  made = config(prepared, data__batch_size=8)
  clips = 2 * 8  # HDC cuts two clips out of each video.
  found = preflight.check(made, str(tmp_path), measured=True)
  assert (
    "loader     50 clips/s a core, measured with videos of the dataset; a step "
    f"takes {clips} clips a process, {clips / 200} s of the 4 cores of "
  ) in found
  assert "in 2 processes: set data.workers=2" in found
  assert "loader   " not in preflight.check(made, str(tmp_path))
  workers = config(prepared, data__batch_size=8, data__workers=2)
  found = preflight.check(workers, str(tmp_path), measured=True)
  assert "set data.workers" not in found


def test_the_slowest_process_counts(prepared, tmp_path, monkeypatch, told):
  """Two processes on one host share its cores, and a batch."""
  monkeypatch.setattr(feeding, "clips_per_second", lambda *_: 50.0)
  monkeypatch.setattr(os, "cpu_count", lambda: 4)

  def slower(value):
    return [value[0] / 5, value[1]] if isinstance(value, list) else value

  told(slower)
  lines = list(
    input_rate.describe(
      [TASKS["pretrain"].resolve(config(prepared, data__batch_size=8))[0]],
      ["a", "a"],
    )
  )
  assert len(lines) == 1
  assert lines[0].startswith("10 clips/s a core")
  assert "8 clips a process, 0.4 s of the 2 cores of a" in lines[0]


def test_a_loader_that_is_measured_in_earnest(prepared, tmp_path, monkeypatch):
  monkeypatch.setattr(input_rate, "_SECONDS", 0.05)
  found = preflight.check(config(prepared), str(tmp_path), measured=True)
  (rate,) = re.findall(r"loader +([\d,]+) clips/s a core", found)
  assert int(rate.replace(",", "")) > 1


def test_the_command_checks_and_stops(prepared, tmp_path, capsys):
  flags = [
    f"--config.data.path={prepared}",
    f"--workdir={tmp_path / 'run'}",
    "--config.data.batch_size=24",
    "--config.model.size=36",
  ]
  file = f"--config={pathlib.Path(__file__).parents[2]}/configs/tiny.py"
  assert main.main([file, *flags, "--preflight"]) == 0
  assert "all is ready" in capsys.readouterr().out
  assert not (tmp_path / "run" / results.CONFIG).exists()
  assert main.main([file, *flags[:3], "--preflight"]) == ConfigError.exit_code
  assert "to the short side of the frames, 40" in capsys.readouterr().err
  flags[0] += "/missing"
  assert main.main([file, *flags, "--preflight"]) == DataError.exit_code
  assert "error: config.data.path: " in capsys.readouterr().err


@pytest.mark.parametrize("how", ["--preflight", "--dry_run", ""])
@pytest.mark.parametrize("task", ["pretrain", "finetune"])
def test_a_batch_of_more_videos_than_there_are(
  how, task, prepared, tmp_path, capsys
):
  file = f"{pathlib.Path(__file__).parents[2]}/configs/tiny.py:task={task}"
  flags = [
    f"--config={file}",
    f"--config.data.path={prepared}",
    "--config.model.size=36",
    f"--workdir={tmp_path}",
    *filter(None, [how]),
  ]
  assert main.main(flags) == ConfigError.exit_code
  error = capsys.readouterr().err.splitlines()[-1]
  assert "config.data.batch_size=32 is too large for the 24 videos" in error
  assert error.endswith("use at most 24")


@pytest.mark.parametrize("method", ["hdc", "cvrl"])
def test_what_part_of_a_frame_is_seen(method, prepared, tmp_path):
  made = small.tiny(
    method=method,
    data__path=str(prepared),
    data__canvas=0,
    **({"method__hidden": (8,)} if method == "cvrl" else {}),
  )
  shares = {"hdc": "33 % to 75 %", "cvrl": "30 % to 100 %"}
  found = preflight.check(made, str(tmp_path))
  assert f"clips      a clip sees {shares[method]} of a 4:3 frame" in found


@pytest.mark.parametrize(
  ("section", "name"),
  [
    ("devices", "number of devices"),
    ("code", "hdc_jax/losses.py"),
    ("versions", "version of jax"),
    ("options", "--workdir"),
    ("config", "config.optim.lr"),
  ],
)
def test_processes_that_differ(section, name, prepared, tmp_path, told):
  def change(value):
    if not isinstance(value, dict):
      return value
    assert name in value[section]
    return value | {section: value[section] | {name: "other"}}

  told(change)
  message = f"^{name} is 'other' in process 1 .* in process 0"
  with pytest.raises(ConfigError, match=message):
    preflight.check(config(prepared), str(tmp_path))


def test_a_file_that_one_process_lacks(prepared, tmp_path, told):
  def change(value):
    if not isinstance(value, dict):
      return value
    code = dict(value["code"])
    del code["hdc_jax/train/loop.py"]
    return value | {"code": code}

  told(change)
  with pytest.raises(ConfigError, match=r"^hdc_jax/train/loop.py is None in"):
    preflight.check(config(prepared), str(tmp_path))


def test_batches_that_do_not_split(prepared, tmp_path):
  with pytest.raises(ConfigError, match=r"config\.data\.batch_size=9"):
    preflight.check(config(prepared, data__batch_size=9), str(tmp_path))
  with pytest.raises(ConfigError, match=r"config\.test\.batch_size=9"):
    made = config(prepared, "retrieve", checkpoint="x", test__batch_size=9)
    preflight.check(made, str(tmp_path))


def test_the_checkpoint_of_an_evaluation(prepared, pretrained_run, tmp_path):
  def check(**changes):
    return preflight.check(
      config(prepared, "retrieve", **changes), str(tmp_path / "run")
    )

  found = check(checkpoint=pretrained_run)
  assert f"checkpoint {pretrained_run}" in found
  assert f"{prepared}: 30 videos" in found
  with pytest.raises(DataError, match="not the directory of a run"):
    check(checkpoint=str(tmp_path))
  with pytest.raises(ConfigError, match=r"config\.model\.width is 4"):
    check(checkpoint=pretrained_run, model__width=4)
  with pytest.raises(ConfigError, match=r"config\.data\.labels: 'kind'"):
    check(checkpoint=pretrained_run, data__labels=("kind",))


def test_a_file_in_place_of_the_directory(prepared, tmp_path):
  (tmp_path / "run").write_text("")
  with pytest.raises(ConfigError, match="cannot be written to"):
    preflight.check(config(prepared), str(tmp_path / "run"))


def test_a_directory_that_is_not_shared(prepared, tmp_path, told):
  told(lambda value: value)  # a process that writes elsewhere
  with pytest.raises(ConfigError, match=r"not show what process 1 \(.*share"):
    preflight.check(config(prepared), str(tmp_path))
  assert list(tmp_path.iterdir()) == []


def test_another_dataset(prepared, tmp_path, told, monkeypatch):
  told(lambda value: "other" if isinstance(value, str) else value)
  monkeypatch.setattr(preflight, "_check_workdir", lambda *_: None)
  with pytest.raises(DataError, match=r"data\.path: .* another dataset in pro"):
    preflight.check(config(prepared), str(tmp_path))


def test_few_shards(prepared, tmp_path, told, monkeypatch):
  monkeypatch.setattr(processes, "exchange", lambda value: [value] * 4)
  monkeypatch.setattr(preflight, "_check_workdir", lambda *_: None)
  found = preflight.check(config(prepared), str(tmp_path))
  assert "fewer than processes: prepare with --shards=4" in found


def test_a_bucket_that_fails_can_be_tried_again(
  remote, tmp_path, told, monkeypatch
):
  monkeypatch.setenv(Bucket.FAILS, "index.json")
  made = config("gs://b/data")
  message = r"^gs://b/data/index\.json: the storage failed: 503$"
  with pytest.raises(StorageError, match=message):
    preflight.check(made, str(tmp_path))
  monkeypatch.setattr(preflight, "_check_workdir", lambda *_: None)
  told(lambda value: value)
  with pytest.raises(StorageError, match=r"^process 0 \(.*\): gs://b/data"):
    preflight.check(made, str(tmp_path))


def test_a_disk_too_small_for_the_copy(remote, tmp_path, told, monkeypatch):
  usage = collections.namedtuple("usage", "free")(10)
  monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage)
  made = config("gs://b/data", data__cache=str(tmp_path / "cache"))
  preflight.check(made, str(tmp_path))  # alone, here may not be where it runs
  monkeypatch.setattr(preflight, "_check_workdir", lambda *_: None)
  told(lambda value: value)
  message = r"process 0 \(.*config\.data\.cache=.*No space left on device"
  with pytest.raises(DataError, match=message):
    preflight.check(made, str(tmp_path))


def test_a_dataset_in_a_bucket_is_not_copied(remote, tmp_path):
  cache = tmp_path / "cache"
  made = config("gs://b/data", data__cache=str(cache))
  found = preflight.check(made, str(tmp_path / "run"))
  size = sum(path.stat().st_size for path in remote.glob("*.array_record"))
  said = f"in 2 shards; the run copies these {size / 1e9:.3g} GB to {cache}"
  assert said in found
  assert not cache.exists()


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"data__lanes": 2}, "the run copies these"),
    ({"data__access": "stream"}, "in 2 shards; read where it is"),
  ],
)
def test_what_is_copied_is_said(remote, tmp_path, changes, said):
  made = config("gs://b/data", data__cache=str(tmp_path / "c"), **changes)
  assert said in preflight.check(made, str(tmp_path / "run"))


def test_two_hosts_copy_a_half_each(remote, tmp_path, monkeypatch, told):
  told(lambda value: value)
  monkeypatch.setattr(preflight, "_check_workdir", lambda *_: None)
  monkeypatch.setattr(preflight.jax, "process_count", lambda: 2)
  made = config("gs://b/data", data__cache=str(tmp_path / "c"), data__lanes=2)
  size = (remote / "shard-00000-of-00002.array_record").stat().st_size
  found = preflight.check(made, str(tmp_path / "run"))
  assert f"in 2 shards; a host copies {size / 1e9:.3g} GB to" in found
  assert "2 lanes, each of its own shards" in found


def test_lanes_that_processes_cannot_share(prepared, tmp_path, told):
  told(lambda value: value)
  made = config(prepared, data__batch_size=24, data__lanes=3)
  with pytest.raises(ConfigError, match="lanes=3 do not split over 2 proc"):
    preflight.check(made, str(tmp_path))


def test_the_datasets_of_a_table(ucf101, prepared, tmp_path):
  paths = {"pretrain.data.path": prepared, "ucf101": ucf101, "hmdb51": ""}
  sizes = {
    f"{task}.{field}": value
    for task in ("pretrain", "finetune")
    for field, value in {"model.size": 36, "data.batch_size": 16}.items()
  }
  made = planning.make(1, "tiny", **paths, **sizes)
  found = preflight.check(made, str(tmp_path))
  assert f"{ucf101}: 24 videos" in found
  assert f"{prepared}: 30 videos" in found
