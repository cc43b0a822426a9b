"""This package decides how training clips are changed, so that a model learns what they show and
not the clips themselves: each clip by its key, all its frames alike."""
