"""The runs behind the verdicts of `check`.

    claim_runs   make the runs that claims need
    fast         make those that compare two systems, until they decide what the claims say (`check --fast`)

It may import every other package. Start with `claim_runs`.
"""
