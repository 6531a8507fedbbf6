"""Evidence that was measured beforehand at replica scale and is committed with the suite.

It may import what `evals.reports.claims.evidence` imports. Start with `int8_timings`.
"""
