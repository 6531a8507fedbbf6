"""The commands and the calls behind them: `cli` parses and prints, `api` runs, `check` judges claims.

The only room that knows tasks, models and reports; nothing imports it. Start with `api`.
"""
