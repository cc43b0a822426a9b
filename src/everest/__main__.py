"""`python -m everest` is the command `everest`."""

from everest.cli import entry

if __name__ == "__main__":
    entry()
