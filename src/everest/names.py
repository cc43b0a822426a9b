"""This file decides the names a recipe may use for methods and their parts."""

from typing import Literal

Method = Literal["everest", "videomae"]
METHODS: dict[str, dict[str, str]] = {  # what a method reads and predicts
    "everest": {"select": "rero", "targets": "pixels"},
    "videomae": {"select": "tube", "targets": "pixels"},
}
SELECTORS = {
    "rero": "the tokens whose embedding changed most (EVEREST)",
    "random": "tokens at random, at the same budget as rero",
    "tube": "the same places at every time step (VideoMAE)",
    "all": "every token",
}
TARGETS = {"pixels": "grey levels, normalised a token and channel"}
