"""Distribute a run over several workers: processes that each load the model and compute windows of the plan.

The parent leases each window to one worker, which only then prepares it, and is the only process that scores and
writes. When no window is left, a worker that has nothing to do takes over batches from the end of another worker's
window. It may import what `evals.execution` imports. Start with `pool`; `leases` has the rules.
"""
