"""This file decides what the package of evaluations is: figures of a model on labelled clips."""
