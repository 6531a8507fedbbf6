"""Statistics of runs that stop early: intervals that hold at every look, and the decisions that rest on them.

It may import the errors, the schema and the other statistics. Start with `means`, then `races` for several models.

    finite_set   the set that clusters are drawn from
    sampled      clusters in the random order in which they were drawn
    capital      the capital of a gambler who bets against a value of the mean: large if the value is wrong
    control      predictions of the whole set as a control variate
    means        the confidence sequence of a mean, and of the difference of two models on the same samples
    looks        when to look
    differences  the difference of two models with an interval and a p-value, also of several comparisons
    pruning      the candidates of a selection that the whole set would exclude, too
    races        the decision between two models or several, and which of them are out
"""
