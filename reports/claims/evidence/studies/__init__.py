"""Evidence that was measured beforehand at replica scale and is committed with the suite.

It may import what `evals.reports.claims.evidence` imports. Start with `trainings`; `int8_timings` is the one study
of timings, and `rows` reads what was committed.
"""
