"""Weight files from strangers run nothing and take no more than their share (tests 12-14 of the
reliability table)."""

import argparse
import json
import os
import pickle
import re
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from bounded import measured

from everest.convert.flax import read_flax
from everest.convert.read import WeightsError, read_tensors
from everest.trajectories.files import TrajectoriesError
from tiny import TINY, TINY_PRETRAIN, LabelledSet, everest

SHARE = 300.0  # MB of memory that a refusal may take, beside twice its file


class Code:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.canary),)


# Code in files


def malicious(form: str, folder: Path, canary: Path, run: Path) -> Path:
    """What is given to --init: it holds code in one form or another."""
    content = {"model": {"weight": torch.zeros(2)}, "code": Code(canary)}
    file = folder / "model.pth"
    if form in ("zip", "legacy"):
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    elif form == "bare":
        file.write_bytes(pickle.dumps(content))
    elif form == "tar":
        with tarfile.open(file, "w") as archive:
            for name in ("sys_info", "pickle", "storages", "tensors"):
                data = pickle.dumps(Code(canary))
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, BytesIO(data))
    elif form == "inside a run":
        shutil.copytree(run, folder / "run")
        for name in ("last", "best"):
            weights = folder / "run" / "weights" / name / "model.safetensors"
            if weights.exists():
                weights.write_bytes(pickle.dumps(content))
        return folder / "run"
    elif form == "DCP":
        (folder / "dcp").mkdir()
        (folder / "dcp" / ".metadata").write_bytes(pickle.dumps(Code(canary)))
        (folder / "dcp" / "__0_0.distcp").write_bytes(pickle.dumps(Code(canary)))
        return folder / "dcp"
    elif form == "numpy objects":
        file = folder / "model.npz"
        np.savez(file, **{"params/a": np.array([Code(canary)], dtype=object)})
    return file


FORMS = ["zip", "legacy", "tar", "bare", "inside a run", "DCP", "numpy objects"]


@pytest.mark.parametrize("form", FORMS)
def test_12_code_in_a_file_is_refused_and_never_run(
    form: str, labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    """12. Malicious pickle: zip, legacy, tar, bare, inside a run folder, as DCP .metadata, numpy
    object array: no canary file; refused; never advises weights_only=False."""
    canary = tmp_path / "canary"
    given = malicious(form, tmp_path, canary, pretrained)
    for words in (
        ["finetune", labelled.table, "--out", tmp_path / "out", "--init", given, *TINY],
        ["convert", given, "-o", tmp_path / "converted"],
        ["embed", given, labelled.files[0], "-o", tmp_path / "e.npz"],
    ):
        told = everest(*words)
        assert told.code == 2, told.err or told.out
        assert not canary.exists()
        assert "weights_only" not in told.err and "Traceback" not in told.err
        assert str(given) in told.err


def test_12_code_in_the_state_of_a_run_is_refused_and_never_run(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """12. ... inside a run folder: in what --resume reads, with a manifest that vouches for it."""
    import hashlib

    canary, out = tmp_path / "canary", tmp_path / "run"
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", 2, *TINY_PRETRAIN]
    assert everest(*words, "--stop-after", 1).code == 0
    (state,) = (out / "state").glob("step-*")
    code = pickle.dumps({"code": Code(canary)})
    manifest = json.loads((state / "manifest.json").read_text())
    for name in manifest:
        (state / name).write_bytes(code)
        manifest[name] = hashlib.sha256(code).hexdigest()
    (state / "manifest.json").write_text(json.dumps(manifest))
    told = everest(*words, "--resume")
    assert told.code == 2 and str(state) in told.err
    assert not canary.exists() and "weights_only" not in told.err


def test_12_the_canary_would_be_seen(tmp_path: Path) -> None:
    """12. ... the code of these tests does run where a pickle is trusted."""
    file = malicious("bare", tmp_path, tmp_path / "canary", tmp_path)
    pickle.loads(file.read_bytes())
    assert (tmp_path / "canary").exists()


# Bombs


def deflated(path: Path, source: Path) -> Path:
    """The same archive, its entries compressed."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for member in whole.infolist():
            out.writestr(member.filename, whole.read(member))
    return path


def pth_bomb(folder: Path) -> Path:
    torch.save({"model": {"w": torch.zeros(100 << 20)}}, folder / "whole.pth")  # 400 MB
    return deflated(folder / "bomb.pth", folder / "whole.pth")


def npz_bomb(folder: Path) -> Path:
    np.savez_compressed(folder / "bomb.npz", **{"params/w": np.zeros(100 << 20, np.float32)})
    return folder / "bomb.npz"


def npy_header_bomb(folder: Path) -> Path:
    """A .npz whose array claims a terabyte and has none of it."""
    head = BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)}
    )
    with zipfile.ZipFile(folder / "claims.npz", "w") as archive:
        archive.writestr("params/w.npy", head.getvalue())
    return folder / "claims.npz"


def safetensors_bomb(folder: Path) -> Path:
    path = folder / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{" + b" " * 1000)
    return path


def expanded_bomb(folder: Path) -> Path:
    """Ten numbers in the file, a terabyte by their shape."""
    torch.save({"model": {"w": torch.zeros(1).expand(1 << 38)}}, folder / "wide.pth")
    return folder / "wide.pth"


def yaml_bomb(folder: Path) -> Path:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for one, other in zip("bcdefghij", "abcdefghi", strict=True):
        lines.append(f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]")
    path = folder / "bomb.yaml"
    path.write_text("\n".join(lines))
    return path


BOMBS = {
    "deflated pth": (pth_bomb, read_tensors),
    "npz": (npz_bomb, read_flax),
    "npy header": (npy_header_bomb, read_flax),
    "safetensors header": (safetensors_bomb, read_tensors),
    "expanded": (expanded_bomb, read_tensors),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOMBS)
def test_13_a_bomb_is_refused_in_little_memory(kind: str, tmp_path: Path) -> None:
    """13. Deflated .pth 1,000:1, npz bomb, safetensors header 1 TB: refused; memory <= 2 x file +
    300 MB."""
    make, reader = BOMBS[kind]
    path = make(tmp_path)
    size = path.stat().st_size / (1 << 20)

    def attempt() -> str:
        try:
            reader(path)
        except WeightsError as error:
            return str(error)
        return "read"

    found = measured(attempt)
    assert found.result.startswith(str(path)), found
    assert found.grown <= 2 * size + SHARE and size < 2


def test_13_a_bomb_of_yaml_is_no_recipe_and_no_yaml_is_read(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """13. ... YAML alias bomb: refused. No module of the package reads YAML."""
    bomb = yaml_bomb(tmp_path)
    words = ["pretrain", labelled.videos, "--out", tmp_path / "run", "--recipe", bomb]

    def attempt() -> tuple[int, str]:
        told = everest(*words, *TINY_PRETRAIN)
        return told.code, told.err

    found = measured(attempt)
    code, said = found.result
    assert code == 2 and str(bomb) in said and "Traceback" not in said
    assert found.grown <= SHARE
    import everest as package

    sources = Path(package.__file__).parent.rglob("*.py")
    assert not [path for path in sources if re.search(r"import yaml|from yaml", path.read_text())]


def test_13_archives_as_they_are_written_are_read(tmp_path: Path) -> None:
    """13. ... and no honest file is taken for a bomb: compressed ones, and shared tensors."""
    drawn = torch.randn(40, 50)
    torch.save({"model": {"a": drawn, "b": drawn.expand(3, 40, 50)}}, tmp_path / "a.pth")
    again = deflated(tmp_path / "b.pth", tmp_path / "a.pth")
    for path in (tmp_path / "a.pth", again):
        assert read_tensors(path)["b"].shape == (3, 40, 50)
    np.savez_compressed(tmp_path / "c.npz", **{"params/w": np.zeros((500, 500), np.float32)})
    assert read_flax(tmp_path / "c.npz")["w"].shape == (500, 500)


def test_14_one_class_beside_tensors_is_known_and_no_other(tmp_path: Path) -> None:
    """14. Official .pth with argparse.Namespace: allow-list of that one class."""
    content = {"model": {"w": torch.ones(2)}, "args": argparse.Namespace(num_frames=16)}
    torch.save(content, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth")["w"].sum() == 2
    from everest.options import RunOptions

    for other in (Path("x"), RunOptions(out=Path("x"))):
        torch.save({**content, "other": other}, tmp_path / "b.pth")
        with pytest.raises(WeightsError, match="nothing in it was run"):
            read_tensors(tmp_path / "b.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("2.5.1", ["CVE-2025-32434", "CVE-2026-24747"]),
        ("2.6.0+cu124", ["CVE-2026-24747"]),
        ("2.9.1", ["CVE-2026-24747"]),
        ("2.10.0", []),
        ("2.13.0+cpu", []),
    ],
)
def test_14_a_torch_below_the_safe_floor_opens_no_pickle(
    version: str, holes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """14. ... torch < 2.10 refuses foreign .pth with the CVE number."""
    from safetensors.torch import save_file

    torch.save({"w": torch.ones(2)}, tmp_path / "a.pth")
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    assert read_tensors(tmp_path / "a.safetensors")
    if not holes:
        assert read_tensors(tmp_path / "a.pth")
        return
    with pytest.raises(WeightsError) as refused:
        read_tensors(tmp_path / "a.pth")
    assert re.findall(r"CVE-\d+-\d+", str(refused.value)) == holes
    assert "torch 2.10" in str(refused.value)


def test_13_a_bomb_of_trajectories_is_refused(tmp_path: Path) -> None:
    """13. ... npz bomb: also where trajectories are read from a folder of somebody else's."""
    from everest.trajectories import files

    place = tmp_path / "t.npz"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(files.ABOUT, b" " * (300 << 20))
    assert place.stat().st_size < 1 << 20

    def attempt() -> str:
        try:
            files.read_trajectories(place, [0])
        except TrajectoriesError as error:
            return str(error)
        return "read"

    found = measured(attempt)
    assert found.result.startswith(str(place)) and found.grown <= SHARE
