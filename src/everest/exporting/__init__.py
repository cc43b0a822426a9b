"""This file decides what the package of exports is: a model as a file that needs no everest."""
