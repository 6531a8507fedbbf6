"""Everything that several recipes share: the training loop, the optimisers, batches, losses and evaluation in training.

It may import the mini benchmarks, `evals.models.decoding` and `evals.models.architectures`, and no recipe. Start
reading with `loop`, which defines what a recipe provides.
"""
