"""EVEREST for video: train your own video model by reading only the tokens that change."""

import importlib
from typing import TYPE_CHECKING, Any

from everest.version import __version__

if TYPE_CHECKING:
    from everest.api import (
        finetune,
        from_pretrained,
        pixel_patches,
        pretrain,
        probe,
        select_frames,
        select_tokens,
    )
    from everest.build import create_model
    from everest.convert.hub import push_to_hub
    from everest.embedder import VideoEmbedder
    from everest.embeddings import Embeddings
    from everest.run import Run, load

HOMES = {  # public name -> module; imported when asked for, so that `import everest` is quick
    "Embeddings": "everest.embeddings",
    "Run": "everest.run",
    "VideoEmbedder": "everest.embedder",
    "create_model": "everest.build",
    "finetune": "everest.api",
    "from_pretrained": "everest.api",
    "load": "everest.run",
    "pixel_patches": "everest.api",
    "pretrain": "everest.api",
    "probe": "everest.api",
    "push_to_hub": "everest.convert.hub",
    "select_frames": "everest.api",
    "select_tokens": "everest.api",
}

__all__ = [
    "Embeddings",
    "Run",
    "VideoEmbedder",
    "__version__",
    "create_model",
    "finetune",
    "from_pretrained",
    "load",
    "pixel_patches",
    "pretrain",
    "probe",
    "push_to_hub",
    "select_frames",
    "select_tokens",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'everest' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
