"""The recipe of `vl`: a vision-language model that answers questions about images and embeds images and captions.

It may import `evals.models.replicas.training` and the mini benchmarks. Start reading with `config`.
"""
