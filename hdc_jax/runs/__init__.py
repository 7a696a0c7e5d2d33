"""The files in the directory of a run: names, formats, reading and writing."""
