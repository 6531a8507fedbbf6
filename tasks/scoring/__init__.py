"""Pure scoring functions that take more than a few lines: VQA accuracy, math answers, retrieval ranks, GLUE probes.

It may import the metrics, the statistics, the schema, the embeddings and the task tables. Start with `vqa`; each module
names the official scorer that it follows.
"""
