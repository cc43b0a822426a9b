"""This package decides which supervised video transformers there are: those of the K400 table."""
