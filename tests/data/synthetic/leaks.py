"""Classifiers that look for labels where they should not be."""

import numpy as np

CLASSES = 8  # of motions, and of scenes


def bound(count):
  """Three standard deviations above chance, for `count` fair guesses.

  The two samples of a video share its motion and object and differ in scene:
  together they count as one guess.
  """
  chance = 1 / CLASSES
  return chance + 3 * np.sqrt(chance * (1 - chance) / count)


def predict(features, labels, tested):
  """Kernel ridge regression on one-hot labels, with a Gaussian kernel."""
  mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
  known, asked = (
    np.clip((f - mean) / scale, -5, 5) for f in (features, tested)
  )

  def kernel(a, b):
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.exp(-squared / (2 * a.shape[1]))

  gram = kernel(known, known) + np.eye(len(known))
  weights = np.linalg.solve(gram, np.eye(CLASSES)[labels] - 1 / CLASSES)
  return (kernel(asked, known) @ weights).argmax(axis=1)


def accuracy(features, labels, videos):
  """Accuracy over four folds, each of whole blocks of 64 videos.

  No video is on both sides of a fold, and the classes balance on either.
  """
  folds = videos // 64 % 4
  correct = [
    predict(features[folds != f], labels[folds != f], features[folds == f])
    == labels[folds == f]
    for f in range(4)
  ]
  return np.concatenate(correct).mean()


def colour_features(frame):
  """Colour histogram `[64]` of a frame."""
  levels = (frame // 64).reshape(-1, 3) @ (16, 4, 1)
  return np.bincount(levels, minlength=64) / levels.size


def frame_features(frame):
  """Colours, layout, orientations, frequencies and sharpness of a frame."""
  layout = frame.reshape(12, 6, 12, 8, 3).mean(axis=(1, 3))
  grey = frame.mean(axis=-1)
  grey -= grey.mean()
  dy, dx = np.gradient(grey)
  slope, direction = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi
  directions = np.histogram(direction, 12, (0, np.pi), weights=slope)[0]
  power = np.abs(np.fft.rfft2(grey)) ** 2
  power /= power.sum()
  height, width = grey.shape
  frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
  return np.concatenate(
    [
      colour_features(frame),
      layout.ravel(),
      directions / directions.sum(),
      np.sort(directions) / directions.sum(),
      np.histogram(frequency, 12, (0, 0.3), weights=power)[0],
      np.sort(power.ravel())[:-17:-1].cumsum(),
      np.quantile(slope, np.linspace(0, 1, 9)) / slope.mean(),
    ]
  )


def difference_features(clip):
  """Statistics of `|frame[t + 1] - frame[t]|` over a clip.

  Of the energy, centroid, spread, area and peak over time: level, range, speed
  and spectrum; besides, the histogram of all differences, which holds the
  encoder's small errors around the object, and the orientations in their sum.
  """
  red, green, blue = np.abs(np.diff(clip.astype(np.int16), axis=0)).T
  differences = (red + green + blue).T.astype(np.float32)
  across, down = differences.sum(axis=1), differences.sum(axis=2)
  energy = across.sum(axis=1) + 1e-3

  def moments(profile):
    place = np.arange(profile.shape[1])
    mean = profile @ place / energy
    return mean, np.sqrt(np.maximum(profile @ place**2 / energy - mean**2, 0))

  x, spread_x = moments(across)
  y, spread_y = moments(down)
  area = np.mean(differences > 24, axis=(1, 2))
  peak = differences.max(axis=(1, 2))
  series = np.stack((np.log(energy), x, y, spread_x, spread_y, area, peak))
  centred = series - series.mean(axis=1, keepdims=True)
  spectra = np.abs(np.fft.rfft(centred, axis=1))[:, 1:]
  levels = (0, 1, 3, 6, 12, 24, 48, 96, 192, 384, 766)
  histogram = np.histogram(differences, levels)[0] / differences.size
  dy, dx = np.gradient(differences.sum(axis=0))
  directions = np.histogram(
    np.arctan2(dy, dx) % np.pi, 8, (0, np.pi), weights=np.hypot(dx, dy)
  )[0]
  return np.concatenate(
    [
      series.mean(axis=1),
      series.std(axis=1),
      np.quantile(series, (0, 0.1, 0.5, 0.9, 1), axis=1).ravel(),
      np.abs(np.diff(series, axis=1)).mean(axis=1),
      np.log(spectra + 1e-3).ravel(),
      [(centred[1] * centred[2]).mean()],
      np.log(histogram + 1e-5),
      np.sort(directions / (directions.sum() + 1e-3)),
    ]
  )
