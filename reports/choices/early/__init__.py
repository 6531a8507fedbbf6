"""Candidates of a selection that stop early (`select --fast`).

It may import the records, the rendering and the measurements of candidates. Start with `pruning`: which candidate may
exclude which, why one has stopped, and whether that holds in the end.
"""
