"""This file decides how weights come from the Hugging Face hub, and how a folder goes there."""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from everest.convert.folders import SINGLE
from everest.convert.read import WeightsError

PREFIX = "hf:"
CONFIGS = ("config.json", "preprocessor_config.json")


class Place(NamedTuple):
    """Where something lies on the hub."""

    repo: str  # owner/name
    revision: str | None
    file: str | None  # inside the repository


def place_of(source: str) -> Place:
    """hf:OWNER/NAME[/FILE][@REVISION] -> its parts; raises WeightsError."""
    named, _, revision = source.removeprefix(PREFIX).partition("@")
    parts = PurePosixPath(named).parts
    if len(parts) < 2 or ".." in parts or named.startswith("/"):
        raise WeightsError(
            f"{source}: give hf:OWNER/NAME, such as hf:MCG-NJU/videomae-base; a file of a "
            f"repository as hf:OWNER/NAME/FILE.pth"
        )
    return Place("/".join(parts[:2]), revision or None, "/".join(parts[2:]) or None)


def hub() -> Any:
    """The hub's own client; raises WeightsError where it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise WeightsError(
            "hf: needs huggingface-hub: pip install 'everest-video[hf]', or download the folder "
            "and give its path"
        ) from error
    return huggingface_hub


def fetch(source: str) -> Path:
    """The file or folder that hf:ID stands for, on this machine; raises WeightsError.

    What was downloaded before is used where the hub cannot be reached.
    """
    place, client = place_of(source), hub()
    try:
        listed = client.model_info(place.repo, revision=place.revision).siblings or []
        wanted = chosen([entry.rfilename for entry in listed], place, source)
        folder = client.snapshot_download(
            place.repo, revision=place.revision, allow_patterns=wanted
        )
    except WeightsError:
        raise
    except Exception as error:  # the client and the network below it have errors of many kinds
        folder = kept_before(client, place)
        if folder is None:
            raise WeightsError(f"{source}: {reason(client, error)}") from error
    path = Path(folder) / place.file if place.file else Path(folder)
    if not path.exists():
        raise WeightsError(f"{source}: the repository has no {place.file}")
    return path


def chosen(files: list[str], place: Place, source: str) -> list[str]:
    """The files to download: safetensors rather than pickles; raises WeightsError without any."""
    if place.file is not None:
        if place.file not in files:
            raise WeightsError(f"{source}: the repository has no {place.file}")
        return [place.file]
    for name in SINGLE:
        stem, ending = name.rsplit(".", 1)
        index = f"{name}.index.json"
        if index in files:
            parts = [file for file in files if file.startswith(stem) and file.endswith(ending)]
            return [*CONFIGS, index, *parts]
        if name in files:
            return [*CONFIGS, name]
    weights = [file for file in files if file.endswith((".pth", ".pt", ".safetensors", ".bin"))]
    if weights:
        raise WeightsError(
            f"{source}: the repository has no {SINGLE[0]}; give one of its files, such as "
            f"hf:{place.repo}/{weights[0]}"
        )
    raise WeightsError(f"{source}: the repository has no weights")


def kept_before(client: Any, place: Place) -> str | None:
    """The folder that an earlier download left on this machine."""
    try:
        return client.snapshot_download(place.repo, revision=place.revision, local_files_only=True)
    except Exception:  # whatever is wrong with what lies there, the first error is the one to tell
        return None


def reason(client: Any, error: Exception) -> str:
    """What went wrong, in a sentence."""
    errors = client.errors
    if isinstance(error, errors.GatedRepoError):
        return "its owner lets only some accounts read it; log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the hub has no such revision"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or a private one"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set and nothing of it was downloaded before"
    told = str(error).strip().split("\n")[0] or type(error).__name__
    return f"cannot be downloaded ({told}), and nothing of it was downloaded before"


def push_to_hub(folder: str | Path, repo_id: str, *, private: bool = True) -> str:
    """Uploads a folder that `save_pretrained` or `everest convert` wrote; returns its address.

    The repository is made where there is none. Raises ValueError for a folder without weights.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not (folder / SINGLE[0]).is_file():
        raise WeightsError(f"{folder}: give a folder with {SINGLE[0]} and config.json")
    client = hub()
    try:
        client.create_repo(repo_id, private=private, exist_ok=True)
        client.upload_folder(folder_path=str(folder), repo_id=repo_id)
    except Exception as error:  # as in fetch
        raise WeightsError(f"hf:{repo_id}: cannot be uploaded to ({error})") from error
    return f"https://huggingface.co/{repo_id}"
