"""A folder of videos, and the dataset that it becomes."""

import pathlib

import pytest

from tests.prepare import preparing


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
  """Eight videos of two classes, each of another length."""
  folder = tmp_path_factory.mktemp("videos")
  for i in range(preparing.VIDEOS):
    name = f"{'walk' if i < 4 else 'run'}/{i}.mp4"
    write_video(folder / name, frames=10 + i, height=48, width=64)
  return folder


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
  output = tmp_path_factory.mktemp("prepared")
  assert preparing.run(folder, output) == 0
  return output


@pytest.fixture(autouse=True)
def importable(monkeypatch):
  """Lets worker processes import this file, however pytest was started."""
  monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2])
