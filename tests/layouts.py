"""Published datasets in miniature, laid out on disk as they are published.

Each function writes videos and split files below a folder and returns where
they are. A class is recognised by the colour and the motion of its stripes.
"""

import colorsys
import pathlib
from typing import NamedTuple

import av
import numpy as np

from hdc_jax.prepare import command as prepare_lib

FOLDS = (1, 2, 3)

# Of HMDB51, with what its names hold: blanks, brackets, quotes and more.
HMDB51_NAMES = (
  "April_09_{}_u_nm_np1_ba_goo_0.avi",
  "#122_Cleaning_Up_(The_Beach)_{}_f_cm_np1_le_med_0.avi",
  "(Rad)Schlag_die_Bank!_{}_f_cm_np1_le_med_0.avi",
  "50_FIRST_DATES_{}_f_nm_np1_fr_med_3.avi",
  "Torwart;_Ball_&_[HD]_1,5%_{}_f_cm_np1_ri_med_1.avi",
  "Two Words '2' {}_u_cm_np2_ba_bad_2.avi",
)
# What they are used for in the three folds: 0 not at all, 1 train, 2 test.
HMDB51_USES = ((1, 2, 1), (1, 1, 2), (2, 1, 1), (1, 1, 1), (0, 1, 1), (0, 0, 0))


class Layout(NamedTuple):
  """Where a dataset is.

  Attributes:
    source: directory of the videos.
    splits: directory of the split files.
  """

  source: pathlib.Path
  splits: pathlib.Path


def ucf101(
  root,
  classes=("ApplyEyeMakeup", "Basketball", "HandstandPushups"),
  groups=4,
  clips=2,
  frames=12,
):
  """UCF101: `clips` videos of each of `groups` long ones of each class.

  Args:
    root: directory to write to.
    classes: their names.
    groups: per class, at least 4; group k is the test set of fold k.
    clips: per group.
    frames: per video; 0 for files that are empty.

  Returns:
    Where it is. Like the original, with CRLF and blank lines in its lists.
  """
  made = _folders(root, "UCF-101", "ucfTrainTestlist")
  videos = []  # class, group, name
  for number, label in enumerate(classes, start=1):
    for group in range(1, groups + 1):
      for clip in range(1, clips + 1):
        # As published: the folder HandstandPushups holds v_HandStandPushups.
        stem = label.replace("Handstand", "HandStand")
        name = f"{label}/v_{stem}_g{group:02d}_c{clip:02d}.avi"
        videos.append((number, group, name))
        write_video(made.source / name, number - 1, len(classes), group, frames)
  _write_lines(
    made.splits / "classInd.txt",
    [f"{number} {label}" for number, label in enumerate(classes, start=1)],
  )
  for fold in FOLDS:
    _write_lines(
      made.splits / f"trainlist0{fold}.txt",
      [f"{name} {number}" for number, g, name in videos if g != fold],
    )
    _write_lines(
      made.splits / f"testlist0{fold}.txt",
      [name for _, group, name in videos if group == fold],
    )
  return made


def hmdb51(root, classes=("brush_hair", "cartwheel", "wave"), frames=12):
  """HMDB51: a video of each of `HMDB51_NAMES` per class.

  Args:
    root: directory to write to.
    classes: their names.
    frames: per video; 0 for files that are empty.

  Returns:
    Where it is. `HMDB51_USES` says which video is in which split.
  """
  made = _folders(root, "hmdb51_org", "testTrainMulti_7030_splits")
  for number, label in enumerate(classes):
    names = [name.format(label) for name in HMDB51_NAMES]
    for i, name in enumerate(names):
      path = made.source / label / name
      write_video(path, number, len(classes), i, frames)
    for fold in FOLDS:
      uses = [uses[fold - 1] for uses in HMDB51_USES]
      (made.splits / f"{label}_test_split{fold}.txt").write_text(
        "".join(
          f"{name} {use} \n" for name, use in zip(names, uses, strict=True)
        )
      )
  return made


def kinetics(
  root,
  classes=("abseiling", "petting animal (not cat)", "air drumming"),
  path="{split}/{label}/{id}_{start:06d}_{end:06d}.mp4",
  val="val.csv",
  frames=12,
):
  """Kinetics: of each class 3 clips to train, 1 to validate and 1 to test.

  Args:
    root: directory to write to.
    classes: their names.
    path: of each file, of the fields of its row.
    val: name of the file of the split val.
    frames: per video; 0 for files that are empty.

  Returns:
    Where it is. Test clips have no label, and lie in no folder of a class.
  """
  made = _folders(root, "k400", "annotations")
  head = "youtube_id,time_start,time_end,split"
  rows = {"train": [], "val": [], "test": []}
  for number, label in enumerate(classes):
    for i, split in enumerate(("train", "train", "train", "val", "test")):
      clip = {
        "split": split,
        "label": label if split != "test" else ".",
        # As YouTube's: eleven characters, also '-' and '_' at either end.
        "id": f"-_{number}_000{i}_1_",
        "start": 9 * i,
        "end": 9 * i + 10,
      }
      file = made.source / path.format(**clip)
      write_video(file, number, len(classes), i, frames, codec="libx264")
      row = "{id},{start},{end},{split}".format(**clip)
      rows[split].append(row if split == "test" else f'"{label}",{row}')
  for split, name in {"train": "train.csv", "val": val}.items():
    _write_lines(made.splits / name, [f"label,{head}", *rows[split]])
  _write_lines(made.splits / "test.csv", [head, *rows["test"]])
  return made


def prepare(dataset, made, output):
  """Prepares a dataset at 40 pixels; returns its directory as a text."""
  places = [f"--source={made.source}", f"--splits={made.splits}"]
  options = [*places, f"--output={output}", "--short_side=40", "--workers=1"]
  assert prepare_lib.main([f"--dataset={dataset}", *options]) == 0
  return str(output)


def write_video(path, label, classes, seed, frames, codec="mpeg4"):
  """Writes stripes of the class's colour, moving at the class's speed.

  Args:
    path: of the file.
    label: number of the class.
    classes: how many there are.
    seed: what else tells videos apart.
    frames: how many; 0 for an empty file.
    codec: of FFmpeg; mpeg4 in .avi is what UCF101 and HMDB51 are.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  if not frames:
    path.touch()
    return
  height, width = 48, 64
  colour = np.array(colorsys.hsv_to_rgb(label / classes, 1, 1))
  x = np.arange(width) + 7 * seed
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=25)
    stream.height, stream.width = height, width
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    for t in range(frames):
      stripes = 0.6 + 0.4 * np.sin((x + (label + 1) * t) / 5)
      row = 255 * stripes[:, None] * colour
      picture = np.broadcast_to(row, (height, width, 3)).astype(np.uint8)
      frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def edit(name, old, new):
  """Damage to do to a dataset: a text that is replaced in a split file.

  Args:
    name: of the file.
    old: what is there; '' for its end.
    new: what to put there instead.

  Returns:
    A function of a `Layout`.
  """

  def damage(made):
    path = made.splits / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else text + new)

  return damage


def remove(*paths):
  """Damage to do to a dataset: files below its root that are removed."""

  def damage(made):
    for path in paths:
      (made.source.parent / path).unlink()

  return damage


def _folders(root, source, splits):
  made = Layout(pathlib.Path(root) / source, pathlib.Path(root) / splits)
  for folder in made:
    folder.mkdir(parents=True)
  return made


def _write_lines(path, lines):
  """Writes lines that end as in DOS, and a blank one."""
  path.write_bytes("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
