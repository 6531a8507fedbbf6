"""The model families: how each kind of checkpoint answers requests; one module per family, which registers it.

It may import the schema, the registry, the data, decoding, the backend and the architectures. Start with `causal`: all
families have the methods of `evals.schema.Model`.
"""
