"""The language of claims files: YAML format, names, expressions, units, interval arithmetic.

May import the errors and the rest of the language, nothing else of the suite. Start with `schema`, then `values`.
"""
