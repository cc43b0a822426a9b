"""This file decides what the package of measurements is: cases timed in turn, memory of each."""
