"""One folder for each replica: `config` defines the model, `data` what it is trained on, `train` how it is trained.

It may import `evals.models.replicas.training`, the mini benchmarks, and a recipe that it builds on (`r1`, `vl`). Start
reading with `r1`, the simplest.
"""
