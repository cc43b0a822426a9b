"""This file decides the names under which the figures of predictions are known elsewhere."""

from everest.metrics.accuracy import Accuracy, accuracy
from everest.metrics.shares import interval, number_or_none

__all__ = ["Accuracy", "accuracy", "interval", "number_or_none"]
