"""Statistics of experiments with deployed variants (A/B tests), as pure functions of sums.

It may import the errors, the schema and the other statistics. Start with `analysis`, which turns the cells of
a log into comparisons.

    cells           counts and sums by unit, variant, segment and time: what is kept of a log
    proportions     score intervals of the difference and the ratio of two shares
    means           intervals of the difference and the ratio of two means, of rows or of clusters
    sequences       intervals that hold at every look while a log grows
    sample_ratio    whether the variants have the planned shares of the rows
    comparison      one variant against the baseline
    segments        the comparisons by segment, and Simpson's paradox
    analysis        everything about one experiment
"""
