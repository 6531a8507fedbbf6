"""Distribute a run over several workers, which each load the model and compute windows of the plan.

The driver leases each window to one worker, which only then prepares it, and is the only process that scores and
writes. When no window is left, a worker that has nothing to do takes over batches from the end of another worker's
window. Workers are processes of this machine or actors of a Ray cluster; both speak the same protocol. It may import
what `evals.execution` imports. Start with `pool`; `leases` has the rules, `messages` the protocol.
"""
