"""The checkpoints of a run: saved, verified before they are read, found."""
