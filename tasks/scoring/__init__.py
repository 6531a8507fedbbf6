"""How answers are scored where that takes more than a few lines: VQA accuracy, answers of mathematics, ranks, probes.

Pure. May import the metrics, the statistics and the schema. Each module names the official scorer that it follows.
"""
