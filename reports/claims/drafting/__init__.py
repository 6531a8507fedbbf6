"""Draft a claims file from an article: find its statements with numbers, who they are about, and what they measure.

It may import `evals.reports.claims.language` and the errors. Start with `drafter.draft`, which calls the readers of
formats, the finder of names, the finder of numbers and the proposer of derivations in turn.
"""
