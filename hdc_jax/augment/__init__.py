"""On-device augmentation: one draw per clip, the same for all its frames.

A transform is a frozen dataclass called with a random key and the frames of one
clip; `views.make_views` maps it over the batch inside the jitted step.
"""
