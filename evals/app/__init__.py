"""The command line and the functions behind it: `cli` parses and prints, `api` makes runs, `check` judges claims.

It may import every other package; only `evals` and `evals.__main__` import it. Start with `api`.
"""
