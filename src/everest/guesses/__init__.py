"""What a classifier says of files, windows and what is still coming, and how it is told."""
