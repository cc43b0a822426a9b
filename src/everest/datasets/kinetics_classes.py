"""This file decides which spellings of a Kinetics class are one: air drumming, air_drumming."""

# The classes with brackets or an apostrophe, in the releases of 400, 600 and 700 classes. Folders
# drop these letters; without them skiing_not_... would be sorted behind skiing_crosscountry, and
# two ids of Kinetics-400 be swapped.
PUNCTUATED = (
    "backflip (human)",
    "bouncing ball (not juggling)",
    "changing wheel (not on bike)",
    "cooking sausages (not on barbeque)",
    "curling (sport)",
    "fencing (sport)",
    "hugging (not baby)",
    "hurling (sport)",
    "massaging person's head",
    "mountain climber (exercise)",
    "opening bottle (not wine)",
    "passing American football (in game)",
    "passing American football (not in game)",
    "petting animal (not cat)",
    "pulling rope (game)",
    "punching person (boxing)",
    "shooting goal (soccer)",
    "skiing (not slalom or crosscountry)",
    "throwing ball (not baseball or American football)",
    "tying knot (not on a tie)",
    "using remote controller (not gaming)",
    "wood burning (art)",
)


def key_of(label: str) -> str:
    """What all spellings of a class share: no case, quotes, brackets or underscores."""
    letters = (" " if letter == "_" else letter for letter in label if letter not in "\"'()")
    return " ".join("".join(letters).casefold().split())


SPELT = {key_of(label): label for label in PUNCTUATED}


def spelt(label: str) -> str:
    """The release's spelling of a class: blanks, and its brackets and apostrophe where known."""
    plain = " ".join(label.replace('"', "").replace("_", " ").split())
    return SPELT.get(key_of(label), plain)
