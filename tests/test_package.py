"""The package: its public names, and that it starts without what it does not need yet."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import everest

SOURCE = Path(everest.__file__)
HEAVY = ("torch", "av", "matplotlib", "scipy", "sklearn", "PIL", "tyro", "numpy", "rich")


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has imported after running the code."""
    told = f"{code}\nimport sys; print('\\n', *{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", told], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def typed_names() -> set[str]:
    """What `if TYPE_CHECKING` imports: what editors and type checkers know of the package."""
    (block,) = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    return {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_all_names_are_there_and_no_others_are_promised() -> None:
    assert len(everest.__all__) == len(set(everest.__all__))
    for name in everest.__all__:
        value = getattr(everest, name)
        if name != "__version__":
            assert value.__name__ == name
            assert value.__module__.startswith("everest.")
            assert value.__doc__
    assert set(everest.__all__) == {*everest.HOMES, "__version__"}
    assert set(everest.HOMES) == typed_names()
    assert dir(everest) == sorted(everest.__all__)


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'pretrian'"):
        _ = everest.pretrian


def test_the_version_is_the_distributions() -> None:
    assert everest.__version__ == importlib.metadata.version("everest-video")


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_after("import everest")
    assert "everest" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("words", ['["--help"]', "[]", '["--version"]', '["pretrian"]'])
def test_help_and_refusals_load_no_torch(words: str) -> None:
    loaded = modules_after(f"from everest.cli import main; main({words})")
    assert "everest" in loaded
    assert not loaded & {"torch", "av", "matplotlib", "scipy", "sklearn"}


def test_help_works_where_torch_cannot_be_imported() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # import torch would raise
        "from everest.cli import main\n"
        "sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "everest pretrain" in done.stdout


def test_a_star_import_brings_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from everest import *", names)
    assert set(everest.__all__) <= set(names)


def test_the_package_says_that_it_is_typed() -> None:
    assert (SOURCE.parent / "py.typed").is_file()
