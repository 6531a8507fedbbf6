"""How the numbers of an article follow from each other: the values, the formulas, and which of them fits.

It may import the other rooms of drafts. Start with `propose.propose_relations`.
"""
