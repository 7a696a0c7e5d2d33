"""FineGym: elements are parts of films or events, or files of their own."""

import pytest

from hdc_jax.data import sources
from hdc_jax.errors import DataError
from tests import layouts, published
from tests.data.datasets.listing import check_counts, classes_of, listing
from tests.layouts import edit, remove

# Of the second element of a film: when it begins and ends, in seconds, with
# the exact times of its event (1.2) and of itself (1.08 to 1.72), and without.
SPANS = {
  "film": ((2.28, 2.92), (2, 3)),
  "event": ((1.08, 1.72), (1, 2)),
  "element": ((0, None), (0, None)),
}
ELEMENT = "A0xAX_ysH00_E_000001_000003_A_0001_0001"


@pytest.mark.parametrize("cut", SPANS)
@pytest.mark.parametrize("exact", [True, False])
def test_elements_are_found_in_every_cut(tmp_path, cut, exact):
  made = published.finegym(tmp_path, frames=0, cut=cut)
  if not exact:
    (made.splits / "finegym_annotation_info_v1.1.json").unlink()
  found = listing("gym99", made)
  assert not found.left_out
  videos = {video.id: video for video in found.videos}
  assert len(videos) == 10
  video = videos[ELEMENT]
  assert (video.start, video.end) == pytest.approx(SPANS[cut][not exact])
  assert video.group == "A0xAX_ysH00"
  assert classes_of(found)["train"][ELEMENT] == 1
  assert found.label_names["class"] == [
    "(VT) round-off, flic-flac on",
    "(FX) switch leap",
  ]


@pytest.mark.parametrize(
  ("edition", "train", "val", "classes"),
  [("gym99", 20484, 8521, 99), ("gym288", 22671, 9646, 288)],
)
def test_the_counts_are_those_of_the_version(
  tmp_path, edition, train, val, classes
):
  old = published.finegym(tmp_path / "old", 0, edition, version="v1.0")
  found = listing(edition, old)
  check_counts(found, train=train, val=val)
  new = listing(edition, published.finegym(tmp_path / "new", 0, edition))
  assert new.official == {"classes": classes, "val": val}


def test_a_part_has_the_frames_of_its_times(tmp_path):
  """16 frames of 25 a second are shown from 0.08 s on and before 0.72 s."""
  made = published.finegym(tmp_path)
  source = sources.open(layouts.prepare("gym99", made, tmp_path / "data"))
  assert len(source) == 10
  assert {source[i].num_frames for i in range(10)} == {16}


def test_what_is_not_there_is_listed(tmp_path):
  made = published.finegym(tmp_path, frames=0)
  remove("videos/A0xAX_ysH00.mp4")(made)
  (made.source / "0LtLS9wROrk.mp4").touch()
  assert listing("gym99", made).left_out == {
    "missing": [ELEMENT.replace("0001_0001", "0000_0000"), ELEMENT],
    "unlisted": ["0LtLS9wROrk.mp4"],
  }


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (edit("gym99_val_element.txt", " 1", " 9"), "line 2: there is no class 9"),
    (edit("gym99_val_element.txt", "_A_", "_B_"), "line 1: .* is not like A0x"),
    (edit("gym99_categories.txt", "el:   1", "el:   7"), "not like Clabel: 1"),
    (remove("annotations/gym99_train_element_v1.1.txt"), "holds no gym99_tr"),
  ],
)
def test_an_error_names_the_file(tmp_path, damage, message):
  made = published.finegym(tmp_path, frames=0)
  damage(made)
  with pytest.raises(DataError, match=message):
    listing("gym99", made)
