"""State, step, optimizer, sharding, checkpoints, metrics and guards."""
