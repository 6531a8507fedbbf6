"""The recipe of `v3-seq2seq`: a T5 encoder-decoder that learns what `r1` learns.

It may import `evals.models.replicas.training` and the recipe of `r1`. Start reading with `config`.
"""
