"""Every field of a config, and the recipes of the papers, as data.

`config.default` makes configs of them; the files in configs/ set what is left.
"""

from typing import Any

# With the defaults of HDC's pretraining.
FIELDS: dict[str, Any] = {
  # pretrain | finetune | linear | retrieve | embed | preview
  "task": "pretrain",
  # Of initial weights, data order and augmentations.
  "seed": 0,
  # Run directory, or one step in it, whose backbone to use.
  "checkpoint": "",
  "data": {
    # What `hdc_jax.prepare` wrote, or a directory of videos.
    "path": "",
    # Where each host keeps its copy of a dataset in a bucket (gs://, s3://).
    "cache": "~/.cache/hdc_jax",
    # Videos to learn from, or to search.
    "split": "train",
    # Of a dataset that is divided into train and test in several ways, the
    # numbers of those to average over (train1 and test1, …); empty: all.
    "folds": (),
    # Which labels of the dataset to evaluate by; empty: all.
    "labels": (),
    # Videos per step, over all devices and hosts.
    "batch_size": 128,
    # Frames per clip, and how many source frames apart they are.
    "frames": 16,
    "stride": 1,
    # Side of the square that the host cuts from the frames; they are whole
    # where it is larger.
    "canvas": 128,
    # Threads (per process) and extra processes that decode on each host.
    "threads": 16,
    "workers": 0,
    # Stop when a larger part of the videos cannot be decoded.
    "max_bad": 0.01,
  },
  "augment": {
    "scales": (1.0, 0.875, 0.75, 0.66),
    "flip": 0.5,
    "jitter": {
      "probability": 0.8,
      "brightness": 0.4,
      "contrast": 0.4,
      "saturation": 0.4,
      "hue": 0.1,
    },
    "replication": {"probability": 0.5, "per_frame": False},
    # Of CVRL: the part of the frame that a crop takes, and its width to
    # height; and the chances of greyscale, and of blur and solarizing in
    # the first and in the second view.
    "area": (0.3, 1.0),
    "aspect": (0.5, 2.0),
    "greyscale": 0.2,
    "blur": (1.0, 0.1),
    "solarize": (0.0, 0.2),
  },
  "model": {
    # c3d | r2plus1d10 | r3d18 | r3d34 | r3d50
    "name": "r3d18",
    # Channels of the first convolution, which all others follow.
    "width": 64,
    # instance | batch (over the global batch) | group
    "norm": "instance",
    # Of r3d*: kernel of the stem over T, H, W; empty: the backbone's own.
    "stem": (),
    # Of r3d*: A (subsample and zero-pad), B (1×1×1 projection) or empty.
    "shortcut": "",
    # Of r3d*: whether a max pool follows the stem.
    "stem_pool": True,
    # Height and width of the views.
    "size": 112,
    # Of the activations; parameters are float32.
    "dtype": "bfloat16",
  },
  "method": {
    # hdc | cvrl | dsm
    "name": "hdc",
    "temperature": 0.07,
    "dim": 128,
    # Of HDC.
    "contrasts": ("spatial", "temporal"),
    "blocks": (3, 4, 5),
    "weights": (0.25, 0.5, 1.0),
    "symmetric": False,
    # Of CVRL: of the density of the interval between the two clips, and
    # widths of the head's hidden layers.
    "power": 1.0,
    "hidden": (2048, 2048, 2048),
    # Of DSM: infonce | triplet (with its margin); what breaks the motion,
    # shift | flow; and m of the keys' encoder (0.999), 0 for none.
    "objective": "infonce",
    "margin": 0.5,
    "negative": "shift",
    "momentum": 0.0,
  },
  "optim": {
    # sgd | lars
    "name": "sgd",
    # inverse_time | cosine (to 0 at the end of the run)
    "schedule": "inverse_time",
    "lr": 0.1,
    "momentum": 0.9,
    # lr / (1 + decay · step), as Keras SGD.
    "decay": 1e-4,
    # Steps in which the rate of a cosine rises from 0.
    "warmup": 0,
    # λ of λ·Σw² over kernels.
    "l2": 5e-5,
  },
  "train": {
    # The paper gives no length. Choice: 100 epochs of the 240,000 videos
    # of Kinetics-400.
    "steps": 187_500,
    "log_every": 50,
    "checkpoint_every": 2_000,
    "keep_checkpoints": 2,
    # Seconds that a step may take (the first compiles) before the run is taken
    # for hung and ends; 0: for ever.
    "patience": 1800,
  },
  # How evaluations look at a video (or at a part of it with one class).
  "test": {
    "split": "test",
    # Clips, evenly spread; 0: as many as fit without overlap.
    "clips": 10,
    # centre | three (along the longer side) | five (centre and corners)
    "crops": "centre",
    # Height and width of the crops; 0: those of the views.
    "size": 0,
    # Crops of clips per step, over all devices and hosts.
    "batch_size": 32,
  },
  # What an evaluation takes from a frozen backbone.
  "features": {
    "endpoint": "block5",
    # average | max (over all) | cells (2×2 maxima, flattened)
    "pool": "average",
  },
  # Evaluate with few labels.
  "subset": {
    # Of the videos of each class: 0.01, 0.1 (semi-supervised).
    "fraction": 1.0,
    # Or so many videos of each class (few-shot); 0: by the fraction.
    "shots": 0,
    # How many subsets to draw, and average over.
    "draws": 1,
  },
  "finetune": {"dropout": 0.5},
  "linear": {
    # Learning rates, all tried at once.
    "rates": (1.0, 3.2, 10.0, 32.0, 100.0),
    "epochs": 100,
    "warmup_epochs": 5,
    # Videos per step.
    "batch_size": 1024,
    # Augmented clips of each video, whose features are computed once.
    "views": 4,
    # The part of the videos that decides between the rates.
    "held_out": 0.1,
  },
  "retrieve": {
    "topk": (1, 5, 10, 20, 50),
    # Neighbours that vote in kNN classification, and how sharply.
    "neighbours": 20,
    "temperature": 0.07,
    # Also measure the same network with its initial weights.
    "untrained": True,
  },
  "embed": {
    # Videos per file.
    "shard": 10_000,
    # Whose classes to write as well; videos are parted where it changes.
    "label": "",
  },
}

# Where the papers' recipe of a task differs from that of pretraining.
TASKS: dict[str, dict[str, Any]] = {
  "pretrain": {},
  "finetune": {
    # HDC. Choice, as its length is not given: the 150 epochs (of UCF101) of
    # video clip order prediction, whose protocol the paper follows.
    "data.batch_size": 32,
    "optim.lr": 0.01,
    "train.steps": 44_700,
    "test.clips": 0,
    "test.crops": "five",
  },
  "linear": {
    # CVRL.
    "test.clips": 10,
    "test.crops": "three",
    "features.pool": "average",
  },
  "retrieve": {
    # Video clip order prediction: the first division of a dataset.
    "data.folds": (1,),
    "features.pool": "cells",
  },
  "embed": {"data.split": "", "features.pool": "average"},
  "preview": {},
}


# Where a method is pretrained otherwise than HDC.
METHODS: dict[str, dict[str, Any]] = {
  "hdc": {},
  "cvrl": {
    # Whole frames of a short side of 256 pixels (up to 4:3).
    "data.canvas": 342,
    "data.stride": 2,
    "data.batch_size": 1024,
    "model.size": 224,
    "model.norm": "batch",
    "augment.jitter.brightness": 0.8,
    "augment.jitter.contrast": 0.8,
    "augment.jitter.saturation": 0.8,
    "augment.jitter.hue": 0.2,
    "method.temperature": 0.1,
    # Choice: of our loss, a mean over both directions and all devices. The
    # official code sums over them, so its 0.32 is another rate.
    "optim.lr": 0.32,
    "optim.schedule": "cosine",
    # λ/2·w² of 1e-6.
    "optim.l2": 5e-7,
    # 200 epochs of the 240,000 videos of Kinetics-400, 5 of them warm-up.
    "train.steps": 46_900,
    "optim.warmup": 1_170,
  },
  "dsm": {
    "data.canvas": 256,
    "data.stride": 4,
    "model.size": 224,
    "model.norm": "batch",
    "optim.lr": 0.01,
    "optim.decay": 0.0,
  },
}
