"""The recipe of `r1-zero`: reinforcement learning alone, from random weights.

It may import `evals.models.replicas.training`, `evals.statistics` and the mini benchmarks. Start reading with `config`.
"""
