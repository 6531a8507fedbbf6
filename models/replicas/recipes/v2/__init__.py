"""The recipe of `v2`: `r1` pruned to half its layers, distilled and quantised to 8 bits.

It may import `evals.models.replicas.training`, `evals.models.architectures` and the recipe of `r1`. Start reading with
`config`.
"""
