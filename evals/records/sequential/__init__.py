"""Records of runs that look at their interval and may stop early (`--precision`, `--until-decided`).

It may import the rest of the records, the schema and the statistics. Start with `entry`, what `result.json` says of the
looks; `random_order` is the order of the samples, and `stopped` gives a run that stopped early its intervals.
"""
