"""Runs that look at their interval and stop early: at a precision, or when a race between models is decided.

It may import the rest of the execution, the records, the statistics and the schema. Start with `precision`, then
`race`.

    eligible     which tasks can stop early, and why others cannot
    prefix       the samples of a run in random order, up to the next look
    precision    one model: stop when the interval is narrow enough
    pruning      candidates of a selection: stop those that are shown to be excluded
    race         several models on the same samples: stop when it is decided which is better
    recorded     the records of an earlier run as one side of a race
    questions    several runs and questions: compute each run until its questions are answered
"""
