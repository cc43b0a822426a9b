"""This package decides how other people's weights and ours map onto each other.

`read_weights(path)` gives config, tensors under our names and a report; the tables are in
`tables.py` and `hf_names.py`. What needs models is imported when asked for, as models need
`read.py`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from everest.convert.read import WeightsError, read_tensors

if TYPE_CHECKING:
    from everest.convert.hub import push_to_hub
    from everest.convert.report import KeyReport
    from everest.convert.tables import FAMILIES, Family, recognise
    from everest.convert.weights import Weights, read_weights

HOMES = {
    "FAMILIES": "everest.convert.tables",
    "Family": "everest.convert.tables",
    "KeyReport": "everest.convert.report",
    "Weights": "everest.convert.weights",
    "push_to_hub": "everest.convert.hub",
    "read_weights": "everest.convert.weights",
    "recognise": "everest.convert.tables",
}

__all__ = [
    "FAMILIES",
    "Family",
    "KeyReport",
    "Weights",
    "WeightsError",
    "push_to_hub",
    "read_tensors",
    "read_weights",
    "recognise",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'everest.convert' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
