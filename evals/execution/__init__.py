"""Execute a run: plan its batches, compute them in one or several processes, and write the sample records.

May import the schema, the registry, the records, the data and the metrics; knows no task and no model. Start with
`run`, then `loop`.
"""
