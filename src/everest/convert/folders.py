"""This file decides which files of a folder hold other people's weights.

DeepSpeed's (METHOD.md 2.6) and Hugging Face's, in one file or in several with an index.
"""

import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from everest.convert.hf_config import beside_of_config
from everest.convert.read import Content, WeightsError, read_content

DEEPSPEED = "mp_rank_00_model_states.pt"
SINGLE = ("model.safetensors", "pytorch_model.bin")
ENDINGS = (".safetensors", ".pth", ".pt", ".pyth", ".bin", ".ckpt")


def read_folder(folder: Path) -> tuple[Path, Content]:
    """(the file that holds the weights or lists them, its content); raises WeightsError."""
    file = weights_file(folder)
    if file.name.endswith(".index.json"):
        return file, Content(read_shards(file), beside_of_folder(folder))
    return file, read_file(file)


def read_file(path: Path) -> Content:
    """A weights file; one of a Hugging Face folder with what its config says."""
    content = read_content(path)
    if path.name in SINGLE and is_hugging_face(path.parent):
        return Content(content.tensors, beside_of_folder(path.parent))
    return content


def weights_file(folder: Path) -> Path:
    """The one file that is meant by a folder; raises WeightsError with what was looked for."""
    for name in (DEEPSPEED, *(f"{name}.index.json" for name in SINGLE), *SINGLE):
        if (folder / name).is_file():
            return folder / name
    found = list(folder.glob(f"checkpoint-*/{DEEPSPEED}"))
    if found:
        return max(found, key=lambda path: rank(path.parent.name))
    files = [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS]
    if len(files) == 1:
        return files[0]
    several = f" (it has {len(files)} weights files: give one of them)" if files else ""
    raise WeightsError(
        f"{folder}: a folder without weights{several}; give a run folder (with weights/last), an "
        f"export, a weights file, a folder with {SINGLE[0]} or with {DEEPSPEED}"
    )


def rank(name: str) -> tuple[bool, int]:
    """checkpoint-best before the newest."""
    number = re.search(r"\d+$", name)
    return name == "checkpoint-best", int(number[0]) if number else -1


def read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index lists; raises WeightsError where one is missing."""
    listed = read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise WeightsError(f"{index}: no index of weights, it has no weight_map")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(map(str, listed.values()))):
        if Path(name).name != name:
            raise WeightsError(f"{index}: lists {name}, which is no file of its own folder")
        tensors |= read_content(index.parent / name).tensors
    missing = [name for name in listed if name not in tensors]
    if missing:
        raise WeightsError(f"{index}: lists {missing[0]}, and none of its files has it")
    return tensors


def is_hugging_face(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and "model_type" in read_json(config)


def beside_of_folder(folder: Path) -> Any:
    """What config.json and preprocessor_config.json say, where they are there."""
    config, processor = folder / "config.json", folder / "preprocessor_config.json"
    if not config.is_file():
        return beside_of_config({}, {}, config)
    pixels = read_json(processor) if processor.is_file() else {}
    return beside_of_config(read_json(config), pixels, config)


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: not a JSON object")
    return content
