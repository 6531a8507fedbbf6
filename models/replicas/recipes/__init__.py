"""One folder a replica: `config` says what it is, `data` what it reads, `train` how it learns.

May import `training` and the mini benchmarks. Start with `r1`.
"""
