"""The trackers that `--track` names: one module per package, which turns the events of a run into a run of the package.

Each module has `tracker(project)`, which imports its package and returns a hook. All log the same: the settings at the
start; counts, rate and the mean so far after batches; metrics with intervals, counts and costs at the end; no sample.
May import `evals.hooks`. Start reading with `wandb_tracker.py`.
"""
