"""Contact sheets: what is where, and how it is marked."""

import io

import numpy as np
import pytest
from PIL import Image

from hdc_jax.report.figures import canvas, contact_sheet


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def shot(rng, n=4, size=(48, 48), caption="circle"):
  frames = rng.integers(0, 256, (n, *size, 3), np.uint8)
  return contact_sheet.Shot(frames, caption)


def match(rng, correct=(True, False), **kwargs):
  query, *found = (shot(rng, **kwargs) for _ in range(1 + len(correct)))
  return contact_sheet.Match(query, found, correct)


def draw(matches, path):
  contact_sheet.contact_sheet(matches, path)
  with Image.open(path) as image:
    assert image.format == "PNG"
    return np.asarray(image.convert("RGBA")).astype(int)


def count(sheet, ink):
  return (sheet == (*canvas.INKS[ink], 255)).all(axis=-1).sum()


def test_right_and_wrong_neighbours_are_marked_differently(rng, tmp_path):
  query, found = shot(rng), shot(rng)
  right, wrong = (
    draw(
      [contact_sheet.Match(query, [found], [verdict])], tmp_path / "sheet.png"
    )
    for verdict in (True, False)
  )
  assert count(right, "correct") and not count(right, "wrong")
  assert count(wrong, "wrong") and not count(wrong, "correct")
  # Also for those to whom the colours look alike: the border is thicker, and
  # the mark is another.
  assert count(right, "correct") > 1.5 * count(wrong, "wrong")
  opacity = np.stack([right, wrong])[:, -contact_sheet._CAPTION :, :, 3]
  assert (opacity[0] != opacity[1]).sum() > 20


def test_each_verdict_is_at_its_own_neighbour(rng, tmp_path):
  verdicts = (False, True, False, False)
  sheet = draw([match(rng, verdicts)], tmp_path / "sheet.png")
  columns = (sheet == (*canvas.INKS["correct"], 255)).all(axis=-1).any(axis=0)
  left, right = np.flatnonzero(columns)[[0, -1]]
  assert sheet.shape[1] * 0.4 < left < right < sheet.shape[1] * 0.62


def test_frames_are_shown_in_their_places(rng, tmp_path):
  tones = np.arange(10, 250, 20, np.uint8)[:12].reshape(2, 3, 2)

  def grey(row, column):
    frames = np.ones((2, 48, 48, 3), np.uint8)
    return contact_sheet.Shot(
      frames * tones[row, column, :, None, None, None], ""
    )

  matches = [
    contact_sheet.Match(grey(i, 0), [grey(i, 1), grey(i, 2)], [True, True])
    for i in range(2)
  ]
  sheet = draw(matches, tmp_path / "sheet.png")
  is_grey = (sheet[..., 0] == sheet[..., 1]) & (sheet[..., 0] == sheet[..., 2])
  places = {}
  for tone in tones.ravel():
    places[tone] = np.argwhere(is_grey & (sheet[..., 0] == tone)).mean(axis=0)
  for row in tones:  # all of a row at one height, from left to right
    y, x = np.array([places[tone] for tone in row.ravel()]).T
    assert np.ptp(y) == 0
    assert (np.diff(x) > contact_sheet._SIDE - 1).all()
  assert places[tones[0, 0, 0]][0] < places[tones[1, 0, 0]][0]


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("size", [(48, 48), (112, 112), (72, 96)])
def test_any_number_and_size_of_frames(rng, tmp_path, n, size):
  sheet = draw([match(rng, n=n, size=size)], tmp_path / "sheet.png")
  strip = n * contact_sheet._SIDE * size[1] / size[0]
  assert 3 * strip < sheet.shape[1] < 3 * strip + 40 * n + 150


def test_background_is_transparent_and_corners_clear(rng, tmp_path):
  sheet = draw([match(rng)], tmp_path / "sheet.png")
  assert (sheet[[0, -1, 0, -1], [0, 0, -1, -1], 3] == 0).all()


def test_text_is_legible_on_white_and_on_dark():
  def luminance(rgb):
    rgb = np.array(rgb) / 255
    linear = np.where(rgb < 0.04, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722] + 0.05

  for ink in canvas.INKS.values():
    for page in ((255, 255, 255), (13, 17, 23)):  # GitHub's
      dark, light = sorted([luminance(ink), luminance(page)])
      assert light / dark > 3.5


def test_long_captions_stay_in_their_column(rng, tmp_path):
  short, long = (
    draw([match(rng, caption=c * 60)], tmp_path / "sheet.png") for c in "iW"
  )
  assert short.shape == long.shape
  first = 4 * contact_sheet._SIDE + 3 * canvas.FRAME_GAP + canvas.BORDER
  gap = np.s_[
    -contact_sheet._CAPTION :, first : first + contact_sheet._QUERY_GAP
  ]
  assert (long[gap][..., 3] == 0).all()


def test_sheet_of_natural_size_is_small(tmp_path):
  rng = np.random.default_rng(0)
  scale = np.hypot(*np.meshgrid(*[np.fft.fftfreq(112)] * 2))
  scale[0, 0] = 1

  def natural():  # the spectrum of natural images
    noise = np.fft.fft2(rng.normal(size=(4, 112, 112, 3)), axes=(1, 2))
    image = np.fft.ifft2(noise / scale[..., None] ** 1.3, axes=(1, 2)).real
    frames = (image / image.std() * 50 + 128).clip(0, 255)
    return contact_sheet.Shot(frames.astype(np.uint8), "playing violin")

  matches = [
    contact_sheet.Match(natural(), [natural() for _ in range(5)], [True] * 5)
    for _ in range(6)
  ]
  contact_sheet.contact_sheet(matches, tmp_path / "sheet.png")
  assert (tmp_path / "sheet.png").stat().st_size < 650_000


def test_same_sheet_for_same_shots(tmp_path):
  for name in "ab":
    contact_sheet.contact_sheet(
      [match(np.random.default_rng(1))], tmp_path / name
    )
  assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
  Image.open(io.BytesIO((tmp_path / "a").read_bytes())).verify()


def test_headers():
  columns = [0, 1, 2, 3, 4, 11, 12, 13, 21, 112]
  headers = ["query", "1st", "2nd", "3rd", "4th"]
  headers += ["11th", "12th", "13th", "21st", "112th"]
  assert [contact_sheet._header(column) for column in columns] == headers


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda rng: [], "at least one match"),
    (lambda rng: [match(rng, ())], "neighbours to each"),
    (
      lambda rng: [match(rng), match(rng, (True,))],
      r"\[1, 2\] neighbours: give each the same number",
    ),
    (
      lambda rng: [contact_sheet.Match(shot(rng), [shot(rng)] * 2, [True])],
      "2 neighbours of 'circle' but 1 values in correct: give one for each",
    ),
    (
      lambda rng: [contact_sheet.Match(shot(rng), [shot(rng, n=3)], [True])],
      "give every shot the same number of frames",
    ),
    (
      lambda rng: [
        contact_sheet.Match(shot(rng), [shot(rng, size=(8, 8))], [True])
      ],
      "of one size",
    ),
    (
      lambda rng: [
        contact_sheet.Match(
          contact_sheet.Shot(np.zeros((4, 8, 8)), ""), [shot(rng)], [1]
        )
      ],
      r"frames are float64 \[4, 8, 8\]: give uint8 \[n, H, W, 3\]",
    ),
    (
      lambda rng: [contact_sheet.Match(shot(rng, n=0), [shot(rng)], [True])],
      r"frames are uint8 \[0, 48, 48, 3\]",
    ),
  ],
)
def test_says_what_to_do(rng, tmp_path, make, message):
  with pytest.raises(ValueError, match=message):
    contact_sheet.contact_sheet(make(rng), tmp_path / "sheet.png")
