"""This file decides the script beside an export: some thirty lines that read a video and ask it.

It reads the clip in the middle as evaluation does; the file itself says how long and how large.
"""

from everest.config import ModelConfig

HEAD = """\
\"\"\"Says what the model beside it makes of a video, of the clip in its middle: give a VIDEO.\"\"\"

import json
import sys
from pathlib import Path

import av
import numpy as np
import {engine}

"""
OPEN_ONNX = """\
session = onnxruntime.InferenceSession(Path(__file__).with_name({name!r}))
about = json.loads(session.get_modelmeta().custom_metadata_map["everest"])
"""
OPEN_PROGRAM = """\
extra = {{"everest.json": ""}}
program = torch.export.load(str(Path(__file__).with_name({name!r})), extra_files=extra).module()
about = json.loads(extra["everest.json"])
"""
ASK_ONNX = """\
given = session.run(about["outputs"], {"video": np.ascontiguousarray(video)})
"""
ASK_PROGRAM = """\
with torch.inference_mode():
    given = program(torch.from_numpy(np.ascontiguousarray(video)))
"""
START = """\
frames, (high, wide), pictures = about["frames"], about["size"], {{}}
with av.open(sys.argv[1]) as file:
    total = sum(packet.size > 0 for packet in file.demux(video=0))
    stride = {stride}
"""
DENSE = """\
start = max(int(total - frames * stride), 0) // 2
wanted = [start + int(number * stride) for number in range(frames)]
"""
# The middle of each segment, `together` frames of it.
SEGMENTS = """\
tick, reach = total / (frames // {together}), {reach} * stride
starts = [int(tick * number + max(tick - reach, 0) / 2) for number in range(frames // {together})]
starts = [min(start, max(int(total - 1 - reach), 0)) for start in starts]
wanted = [start + int(number * stride) for start in starts for number in range({together})]
"""
LOOP = """\
last = max(index for index in wanted if index < total)  # a short video stays there
for index, frame in enumerate(av.open(sys.argv[1]).decode(video=0)):
    if index not in wanted:
        continue
"""
SHOWN = """\
    shown = (frame.height, frame.width)[:: -1 if round(frame.rotation / 90) % 2 else 1]
"""
PICTURE = """\
    sides = round(frame.width * scale), round(frame.height * scale)
    picture = frame.reformat(
        *sides, "rgb24", interpolation="BILINEAR", dst_color_range="JPEG"
    ).to_ndarray()
    picture = np.rot90(picture, round(frame.rotation / 90))
"""
CROP = """\
    top, left = (picture.shape[0] - high) // 2, (picture.shape[1] - wide) // 2
    pictures[index] = picture[top : top + high, left : left + wide]
"""
PAD = """\
    top, left = (high - picture.shape[0]) // 2, (wide - picture.shape[1]) // 2
    pictures[index] = np.zeros((high, wide, 3), np.uint8)
    pictures[index][top : top + picture.shape[0], left : left + picture.shape[1]] = picture
"""
STACK = """\
video = np.stack([pictures[min(index, last, max(pictures))] for index in wanted])
video = video.transpose(3, 0, 1, 2)[None]  # (1, channels, frames, height, width) uint8
"""
CLASSES = """\
for column, names in about["classes"].items():
    logits = outputs[f"logits.{column}"][0]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    for place in (-shares).argsort()[:5]:
        print(f"{column}: {names[place]} {shares[place]:.4f}")
"""
KINDS = """\
for column, names in about["classes"].items():
    logits, kind = outputs[f"logits.{column}"][0], about["kinds"].get(column, "class")
    if kind == "number":
        print(f"{column}: {logits:.6g}")
        continue
    shares = 1 / (1 + np.exp(-logits))  # of several labels, each by itself
    if kind == "class":
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    for place in (-shares).argsort()[:5]:
        print(f"{column}: {names[place]} {shares[place]:.4f}")
"""
OUTPUTS = """\
outputs = dict(zip(about["outputs"], map(np.asarray, given), strict=True))
"""
FEATURES = """\
print(json.dumps(outputs["features"][0].tolist()))
"""


def script_of(config: ModelConfig, name: str, together: int | None) -> str:
    """The script for an export of a name, .onnx or .pt2; `together` are the frames of a segment
    with segment sampling, None without."""
    is_onnx = name.lower().endswith(".onnx")
    stride = 'about["stride"]'
    if config.clip.fps is not None:
        stride = 'float(file.streams.video[0].average_rate) / about["fps"]'
    chosen = DENSE if together is None else SEGMENTS
    parts = (
        HEAD.format(engine="onnxruntime" if is_onnx else "torch"),
        (OPEN_ONNX if is_onnx else OPEN_PROGRAM).format(name=name),
        START.format(stride=stride),
        chosen.format(together=together, reach=(together or 1) - 1),
        LOOP,
        scaling_of(config),
        PICTURE,
        PAD if config.clip.fit == "pad" else CROP,
        STACK,
        ASK_ONNX if is_onnx else ASK_PROGRAM,
        OUTPUTS,
        FEATURES if config.kind == "autoencoder" else KINDS if config.kinds else CLASSES,
    )
    return "".join(parts)


def scaling_of(config: ModelConfig) -> str:
    """Lines for how a frame is scaled: its shorter side as wanted, and no smaller than the clip."""
    clip, (high, wide) = config.clip, config.clip.size
    if clip.fit == "pad":
        return SHOWN + "    scale = min(high / shown[0], wide / shown[1])\n"
    if high == wide:
        side = max(clip.short_side or 0, high)
        return f"    scale = {side} / min(frame.height, frame.width)\n"
    short = f"{clip.short_side} / min(shown), " if clip.short_side else ""
    return SHOWN + f"    scale = max({short}high / shown[0], wide / shown[1])\n"


def script_name(name: str) -> str:
    """m.onnx -> run_m_onnx.py: no name that a package of these could have."""
    stem, _, ending = name.rpartition(".")
    return f"run_{stem}_{ending}.py"
