"""What a train step takes on a TPU slice, as the TPU compiler estimates it."""
