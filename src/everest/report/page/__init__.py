"""This file decides what the package of the report is: a run folder as one HTML file and a card."""
