"""More published datasets in miniature, laid out as they are published.

Each function writes two classes: 8 videos to train, 2 of the next split, and 2
of the last one if there is one. Its arguments are the folder to write to and
the number of frames, 0 for files that are empty. It returns where it is.
"""

import json

from tests.layouts import Layout, write_video

CLASSES = 2
COUNTS = {"train": 8, "val": 2, "test": 2}


def ssv2(root, frames=12, prefix=""):
  """Something-Something v2; `prefix` is that of the annotation files."""
  made = _folders(root, "20bn-something-something-v2", "labels")
  names = ["Holding something next to something", "Lifting something"]
  # As published: the file is sorted by name, not by number.
  numbers = {names[0]: "1", names[1]: "0"}
  _write(made, f"{prefix}labels.json", numbers)
  lists = {"train": "train", "val": "validation", "test": "test"}
  for split, items in _items(*lists).items():
    videos = []
    for number, label in items:
      write(made, f"{number}.webm", label, number, frames, "libvpx")
      template = names[1 - label].replace("something", "[something]")
      video = {
        "id": str(number),
        "template": template,
        "label": "holding a cup",
      }
      videos.append(video if split != "test" else {"id": str(number)})
    _write(made, f"{prefix}{lists[split]}.json", videos)
  return made


def diving48(root, frames=12):
  """Diving48, two clips of each competition."""
  made = _folders(root, "rgb", "annotations")
  vocabulary = [
    ["Back", "15som", "05Twis", "FREE"],
    ["Reverse", "Dive", "NoTwis"],
  ]
  _write(made, "Diving48_vocab.json", vocabulary)
  for split, items in _items("train", "test").items():
    videos = []
    for number, label in items:
      name = f"_8Vy3dlHg{number // 2:02d}_{number % 2:05d}"
      write(made, f"{name}.mp4", label, number, frames)
      videos.append(
        {"vid_name": name, "label": label, "start_frame": 0, "end_frame": 9}
      )
    _write(made, f"Diving48_V2_{split}.json", videos)
  return made


def finegym(root, frames=12, edition="gym99", cut="film", version="v1.1"):
  """FineGym as films, or cut into events or elements; two elements of each."""
  made = _folders(root, "videos", "annotations")
  names = ["(VT) round-off, flic-flac on", "(FX) switch leap"]
  _write_lines(
    made,
    f"{edition}_categories.txt",
    [
      f"Clabel: {i:3}; set: {i:2}; Glabel: {9 * i:3}; {n}  "
      for i, n in enumerate(names)
    ],
  )
  info = {}
  lists = {"train": f"train_element_{version}", "val": "val_element"}
  for split, items in _items(*lists).items():
    lines = []
    for number, label in items:
      film, event = f"A0xAX_ysH{number // 2:02d}", "E_000001_000003"
      # The first element begins with the event, the second a second later.
      start = number % 2
      element = f"A_{start:04d}_{start:04d}"
      name = {"film": film, "event": f"{film}_{event}"}
      name["element"] = f"{film}_{event}_{element}"
      if cut == "element" or not number % 2:
        seconds = {"film": 5, "event": 3, "element": 1}[cut]
        long = frames and (25 * seconds if seconds > 1 else frames)
        write(made, f"{name[cut]}.mp4", label, number, long)
      lines.append(f"{name['element']} {label}")
      events = info.setdefault(film, {"E_000009_000010": {"segments": None}})
      events.setdefault(event, {"timestamps": [[1.2, 3.8]], "segments": {}})
      events[event]["segments"][element] = {
        "stages": 1,
        "timestamps": [[start + 0.08, start + 0.72]],
      }
    _write_lines(made, f"{edition}_{lists[split]}.txt", lines)
  _write(made, f"finegym_annotation_info_{version}.json", info)
  return made


def jester(root, frames=12):
  """Jester, made into videos by the command of --help."""
  made = _folders(root, "jester", "labels")
  names = ["Swiping Left", "Doing other things"]
  _write_lines(made, "jester-v1-labels.csv", names)
  lists = {"train": "train", "val": "validation", "test": "test"}
  for split, items in _items(*lists).items():
    lines = []
    for number, label in items:
      write(made, f"{number}.mkv", label, number, frames, "mjpeg")
      lines.append(
        f"{number}" + (f";{names[label]}" if split != "test" else "")
      )
    _write_lines(made, f"jester-v1-{lists[split]}.csv", lines)
  return made


def charades(root, frames=12):
  """Charades: even videos show the first action, all but one the second."""
  made = _folders(root, "Charades_v1_480", "Charades")
  names = ["c000 Holding some clothes", "c001 Putting clothes somewhere"]
  _write_lines(made, "Charades_v1_classes.txt", names)
  for split, items in _items("train", "test").items():
    lines = ["id,subject,script,actions,length"]
    for number, label in items:
      write(made, f"0{number:02d}YG.mp4", label, number, frames)
      actions = ["c001 11.90 21.20", "c001 0.00 12.60"] if number != 3 else []
      actions += [] if label else ["c000 1.00 2.00"]
      lines.append(
        f'0{number:02d}YG,HR4,"A person, at home.",{";".join(actions)},30'
      )
    _write_lines(made, f"Charades_v1_{split}.csv", lines)
  return made


def write(made, name, label, number, frames, codec="libx264"):
  """Writes a video of a class, see `layouts.write_video`."""
  write_video(made.source / name, label, CLASSES, number, frames, codec)


def _items(*splits):
  """Number and class of each video, by split; the numbers go on."""
  items, number = {}, 0
  for split in splits:
    count = COUNTS[split]
    items[split] = [(i, i % CLASSES) for i in range(number, number + count)]
    number += count
  return items


def _folders(root, source, splits):
  made = Layout(root / source, root / splits)
  for folder in made:
    folder.mkdir(parents=True)
  return made


def _write(made, name, value):
  (made.splits / name).write_text(json.dumps(value))


def _write_lines(made, name, lines):
  (made.splits / name).write_text("\n".join(lines) + "\n")
