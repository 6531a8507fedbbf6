"""Several runs that share the workers of one command: which worker computes which run, and runs that take turns.

It may import what `evals.execution.workers` imports. Start with `shared`, which has all workers; `run_workers` is what
one run gets of them, `schedule` has the rule by which a free worker chooses a run, and `turns` lets the runs take
turns.
"""
