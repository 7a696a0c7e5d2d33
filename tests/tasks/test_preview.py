"""The picture of a method's views."""

import json

import pytest
from PIL import Image

from hdc_jax.errors import ConfigError
from hdc_jax.tasks import preview
from tests import small


@pytest.mark.slow
@pytest.mark.parametrize(
  ("changes", "views"),
  [
    ({"method": "hdc"}, 3),
    ({"method": "cvrl", "data__canvas": 60}, 2),
    ({"method": "dsm", "method__negative": "flow"}, 3),
  ],
  ids=["hdc", "cvrl", "dsm"],
)
def test_views_of_every_method(changes, views, prepared, tmp_path):
  config = small.config(
    "preview", **changes, data__path=prepared, data__frames=4
  )
  result = preview.run(config, str(tmp_path))
  assert json.loads((tmp_path / "result.json").read_text()) == result
  assert len(result["rows"]) == 6
  strip = 4 * 96 + 3 * 2  # four frames and the gaps between them
  width = views * strip + (views - 1) * 26
  with Image.open(tmp_path / "views.png") as image:
    assert image.width == width
  written = json.loads((tmp_path / "config.json").read_text())
  assert (written["task"], written["data"]["frames"]) == ("preview", 4)
  page = (tmp_path / "report.html").read_text()
  assert f"{written['method']['name'].upper()} views with r3d18" in page
  assert all(f">{row['name']}</td>" in page for row in result["rows"])
  assert '<img src="data:image/png' in page


def test_without_data(tmp_path):
  with pytest.raises(ConfigError, match=r"config\.data\.path is not set"):
    preview.run(small.config("preview"), str(tmp_path / "new"))
  assert not (tmp_path / "new").exists()
