"""Generated videos as a dataset: what `prepare` records of their world."""

import json

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.datasets import synthetic
from hdc_jax.data.store.index import Index
from hdc_jax.data.synthetic import videos
from hdc_jax.data.video.frames import Window
from hdc_jax.evaluate import frames as frames_lib
from hdc_jax.prepare import command as prepare

OPTIONS = ["--world=camera", "--scenes=2", "--frames=32", "--height=32"]
OPTIONS += ["--identity=0.5"]


def run(output, *args):
  return prepare.main(["--dataset=synthetic", f"--output={output}", *args])


@pytest.mark.slow
def test_a_world_is_recorded_and_drawn_again(tmp_path, capsys):
  args = [*OPTIONS, "--videos=3", "--short_side=32", "--workers=1"]
  assert run(tmp_path, *args) == 0
  generated = {"world": "camera", "seed": 0, "scenes": 2, "frames": 32}
  generated |= {"height": 32, "shared_scene": 0.0, "identity": 0.5}
  generated["moving"] = 1.0
  assert "generated: world camera, seed 0, scenes 2" in capsys.readouterr().out
  assert json.loads((tmp_path / "index.json").read_text())["generated"] == (
    generated
  )
  source = sources.open(tmp_path)
  assert source.index.generated == generated
  assert "spiral" in source.index.labels["motion"]
  for video in source:
    drawn = synthetic.redraw(source.index.generated, video.id)
    assert {name: tuple(map(tuple, s)) for name, s in video.labels.items()} == (
      dict(drawn.labels)
    )
    # Of another video, the frames differ by 60 on average.
    window = Window(0, 0, drawn.height, drawn.width)
    stored = frames_lib.read_rgb(video, np.arange(32), window)
    error = videos.render(drawn).mean(axis=-1) - stored.mean(axis=-1)
    assert np.abs(error).mean() < 16
  # Other options make other videos beside those that there are.
  assert run(tmp_path, *args, "--moving=0.5") == 0
  assert len(list((tmp_path / "videos").iterdir())) == 2


def test_an_index_without_the_options_can_be_read(tmp_path):
  index = Index("f", "r", "h264", 32, 0, 0, {}, {}, [], [])
  index.save(tmp_path)
  fields = json.loads((tmp_path / "index.json").read_text())
  assert fields.pop("generated") == {}
  (tmp_path / "index.json").write_text(json.dumps(fields))
  assert Index.load(tmp_path).generated == {}


@pytest.mark.parametrize(
  "args, message",
  [
    (["--scenes=2"], "--scenes is of no use to --world=object: leave it out"),
    (["--world=camera", "--moving=2"], "--moving=2.0 must be at most 1"),
    (["--dataset=folder", "--world=camera"], "--world is of no use to this"),
    (["--dataset=folder", "--identity=0"], "--identity is of no use to this"),
  ],
)
def test_options_without_effect_are_errors(tmp_path, capsys, args, message):
  assert run(tmp_path / "out", *args) == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / "out" / "index.json").exists()
