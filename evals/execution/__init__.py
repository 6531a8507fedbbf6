"""How a run gets onto the disk: which samples, in which batches, on how many workers, in what order.

May import the schema, the registry, the records, the data and the metrics; knows no task and no model. Start with
`run`, then `loop`.
"""
