"""The file `verified.json` of a run folder: that some of its samples were executed again, and what came out.

It may import what `evals.records` imports, and the records themselves. Start with `verified`.
"""
