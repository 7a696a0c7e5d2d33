"""Files that list videos: tables with columns, and bare lists of paths."""
