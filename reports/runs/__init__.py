"""Report runs: one or several, for the terminal, as tables or as a page; and compare two.

It may import the records, the statistics, the timing statistics and `evals.reports.rendering`. Start with `contents`,
which gathers what a report shows; `tables`, `terminal` and `page` render it.
"""
