"""This file decides what the package of the poster's tables is: published figures beside ours."""
