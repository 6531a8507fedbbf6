"""Runs that are computed side by side and stop as soon as a question is answered.

It may import every other package. Start with `open_runs`, which loads the models and opens the run folders.
"""
