"""This file decides how text from people stands in a .csv that a spreadsheet or a terminal may
show."""

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute, not show
# What a terminal would obey (a line's end is none: it stands in quotes), and a backslash that would
# be taken for the start of such an escape.
ACTING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\\(?=x[0-9a-f]{2})")
ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def cell(text: str) -> str:
    """The text, with escapes (\\x1b) for what a terminal would obey, and an apostrophe before what
    a spreadsheet would take for a formula."""
    still = ACTING.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"'{still}" if still.startswith(FORMULA) else still


def text_of(cell: str) -> str:
    """The inverse of `cell`."""
    still = cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
    return ESCAPE.sub(lambda found: chr(int(found[1], 16)), still)
