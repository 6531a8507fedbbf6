"""The recipe of `r1-moe`: a mixture-of-experts decoder that reads text, images and audio.

It may import `evals.models.replicas.training`, `evals.models.architectures` and the mini benchmarks. Start reading with
`config`.
"""
