"""One video: its normal form, its encoding, and the decoding of its frames."""
