"""This file decides the names a recipe may use for methods and their parts."""

from typing import Any, Literal

Method = Literal["everest", "videomae", "mvd", "mme"]
# What a method reads and predicts, where a recipe leaves it to the method (METHOD.md 1.2, 2).
METHODS: dict[str, dict[str, Any]] = {
    "everest": {"select": "rero", "visible": 0.1, "targets": "pixels", "positions": "sinusoid"},
    "videomae": {"select": "tube", "visible": 0.1, "targets": "pixels", "positions": "sinusoid"},
    "mvd": {
        "select": "tube",
        "visible": 0.1,
        "targets": "image_features,video_features",
        "positions": "sincos3d",
    },
    "mme": {
        "select": "tube",
        "visible": 0.3,
        "targets": "hog+trajectory",
        "positions": "sinusoid",
    },
}
SELECTORS = {
    "rero": "the tokens whose embedding changed most (EVEREST)",
    "random": "tokens at random, at the same budget as rero",
    "tube": "the same places at every time step (VideoMAE)",
    "all": "every token",
}
TARGETS = {
    "pixels": "grey levels, normalised a token and channel",
    "image_features": "tokens of a frozen image model (MVD; --image-teacher)",
    "video_features": "tokens of a frozen video model (MVD; --video-teacher)",
    "hog": "histograms of oriented gradients (MME)",
    "trajectory": "how points moved (MME; --trajectories)",
}
TEACHERS = ("image_features", "video_features")  # targets of which a frozen model decides the size


def teacher_option(target: str) -> str:
    """The option that brings the frozen model of a target."""
    return "--" + target.replace("features", "teacher").replace("_", "-")


def decoders_of(targets: str) -> list[list[str]]:
    """ "a+b,c" -> [["a", "b"], ["c"]]: `,` makes decoders, `+` joins heads of one.

    Raises ValueError for a name that is none, or stands twice.
    """
    decoders = [[name.strip() for name in part.split("+")] for part in targets.split(",")]
    names = [name for part in decoders for name in part]
    for name in names:
        if name not in TARGETS:
            raise ValueError(
                f"--targets {targets}: {name!r} is no target; choose of {', '.join(TARGETS)}, "
                f"joined by + (heads of one decoder) or , (a decoder each)"
            )
        if names.count(name) > 1:
            raise ValueError(f"--targets {targets}: {name} stands there twice")
    return decoders
