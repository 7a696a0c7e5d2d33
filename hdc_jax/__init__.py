"""Self-supervised pretraining of 3D CNNs on video, in JAX and Flax."""

__version__ = "0.1.0"
