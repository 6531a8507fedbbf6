"""Execute a run: plan its batches, compute them in one or several processes, and write the sample records.

It may import the schema, the registry, the records and the data, and knows no task and no model. Start with `run`, then
`loop`.
"""
