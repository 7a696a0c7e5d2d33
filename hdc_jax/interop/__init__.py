"""For users of PyTorch; nothing else in the package imports torch."""
