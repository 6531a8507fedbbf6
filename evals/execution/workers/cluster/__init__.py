"""Workers on the nodes of a Ray cluster, and files that other machines need.

It may import what `evals.execution.workers` imports; Ray is imported only when a run asks for a cluster. Start with
`nodes`, which starts actors and carries messages; `actor` is what runs there, and `slurm` starts a cluster in an
allocation.
"""
