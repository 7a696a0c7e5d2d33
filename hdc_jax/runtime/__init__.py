"""What every command needs of the machine; imports no JAX."""
