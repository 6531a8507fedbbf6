"""What runs that stop early say of themselves, in words that need no statistics.

It may import the records, the statistics and the rendering. Start with `sentences`: those of one run; `race` writes the
outcome of a race between several models, and `parts` says which samples a run has.
"""
