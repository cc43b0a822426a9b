"""This package decides how other people's weights and ours map onto each other.

`read_weights(path)` gives (config, tensors) under our names; the tables are in `tables.py`.
"""

from everest.convert.read import WeightsError, read_tensors, read_weights
from everest.convert.tables import FAMILIES, Family, recognise

__all__ = ["FAMILIES", "Family", "WeightsError", "read_tensors", "read_weights", "recognise"]
