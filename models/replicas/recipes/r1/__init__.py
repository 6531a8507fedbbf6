"""The recipe of `r1`: a text decoder for mini GLUE and mini math.

It may import `evals.models.replicas.training` and the mini benchmarks. Start reading with `config`.
"""
