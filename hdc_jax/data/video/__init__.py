"""Video files and packets: decoding, encoding, normal form."""
