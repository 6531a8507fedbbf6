"""The file `prompts.json` above run folders of one model and one task that differ in their prompts.

It may import what `evals.records` imports, and the records themselves. Start with `summary`.
"""
