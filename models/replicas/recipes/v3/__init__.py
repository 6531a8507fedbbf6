"""The recipe of `v3`: a vision stream and a text stream that meet in cross-attention.

It may import `evals.models.replicas.training`, `evals.models.architectures` and the mini benchmarks. Start reading with
`config`.
"""
