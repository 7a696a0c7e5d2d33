"""The train step, the training loop, optimizers, checkpoints and guards."""
