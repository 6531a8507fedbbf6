"""The language of claims: the YAML format, names, expressions, units, intervals.

May import the schema and the errors. Start with `schema`.
"""
