"""Choose a model from measured runs: requirements, the Pareto front, ties, and the advice of guides.

It reads run folders and knows no model. It may import the records, the statistics, the comparison, and of `reports` the
rendering, the reports of runs and the chance levels of claims. Start with `selection`, which makes a `Selection` from
records; `tables`, `figure` and `page` show it.

    amounts         read `4GB`, `100ms`, `1EUR/1000` and `80 %`
    comparable      which runs can be compared; the others are set apart, each with the reason
    measurements    quality, latency, memory and price of a candidate
    requirements    whether a measured value keeps a limit: kept, violated, not shown, not measured
    early           candidates that stop early: which may exclude which, and why one has stopped
    front           the Pareto front
    differences     how each candidate differs from the chosen one, by paired tests
    selection       all of it together, and the sentence
    guides, advice  the advice of a document, and whether the measured choice agrees
"""
