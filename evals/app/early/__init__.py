"""Runs that are computed side by side and stop as soon as a question is answered.

    open_runs   load the models of several runs and open their folders
    against     a model against an earlier run of it (`run --until-decided --against RUN`)

It may import every other package. Start with `open_runs`.
"""
