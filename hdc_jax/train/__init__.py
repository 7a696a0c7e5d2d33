"""The train step, the training loop, optimizers and guards."""
