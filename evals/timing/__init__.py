"""Timed runs: fresh processes, models that alternate, lower bounds of the device, and statistics of times.

It may import `evals.execution` and everything below it. Start with `interleaving`, which runs a timing session; then
`stopwatch`, which times one model, and `statistics`.
"""
