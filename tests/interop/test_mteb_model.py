"""A task of mteb on videos made here, run offline with encoders of ours."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests import pages

CLASSES = {"dark": 40, "light": 210}
VIDEOS = 5  # of each class and split
# Runs the page's code, which leaves the names that are used here.
PROGRAM = """
import json, types
import av
import datasets
import numpy as np
{code}

class Brightness:
  # An encoder that tells how bright a video is.
  def embed(self, videos, scale):
    rows = []
    for path in videos:
      with av.open(path) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
      rows.append([1.0, scale * frame.mean()])
    return np.array(rows, "f4")

bright = VideoModel(Brightness(), "lab/brightness", scale=1 / 255)
score = mteb.evaluate(bright, OwnVideos(), cache=None)[0].get_score()

task = OwnVideos()
task.load_data()
videos = task.dataset["test"].cast_column("video", datasets.Video(decode=False))
paths = [row["video"]["path"] for row in videos]
of_bytes = datasets.Dataset.from_dict(
  {{"video": [{{"path": None, "bytes": open(p, "rb").read()}} for p in paths]}},
  features=datasets.Features({{"video": datasets.Video()}}),
)
want = model.model.embed(paths, clips=4)
same = [
  np.allclose(
    model.encode(types.SimpleNamespace(dataset=dataset, batch_size=3)),
    want,
    rtol=1e-5,
  )
  for dataset in (task.dataset["test"], of_bytes)
]
apart = bright.mteb_model_meta.experiment_name
print(json.dumps([result[0].get_score(), score, len(paths), same, apart]))
"""


@pytest.mark.slow
@pytest.mark.skipif(
  not importlib.util.find_spec("mteb"), reason="mteb is not installed"
)
def test_code_of_the_page(tmp_path, write_video, pretrained_run):
  """With a run and a folder of videos."""
  shutil.copytree(pretrained_run, tmp_path / "runs" / "first")
  for split in ("train", "test"):
    for name, value in CLASSES.items():
      for n in range(VIDEOS):
        frame = np.full((48, 64, 3), value + n, np.uint8)
        path = tmp_path / "videos" / split / name / f"{n}.mp4"
        write_video(path, 8, 48, 64, picture=lambda _, frame=frame: frame)
  code = "\n".join(pages.python_of("docs/export.md", "mteb"))
  environment = {
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": str(tmp_path / "home"),
    "MTEB_CACHE": str(tmp_path / "mteb"),
    "PYTHONPATH": str(pages.ROOT),
    "JAX_PLATFORMS": "cpu",
  }
  done = subprocess.run(
    [sys.executable, "-c", PROGRAM.format(code=code)],
    cwd=tmp_path,
    env=os.environ | environment,
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr
  score, bright, count, same, apart = json.loads(done.stdout.splitlines()[-1])
  assert 0 <= score <= 1
  assert bright == 1.0
  assert count == 2 * VIDEOS
  assert same == [True, True]
  assert "scale" in apart
