"""This package decides how the points of a video move, and what is kept of it for training."""
