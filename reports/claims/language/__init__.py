"""The language of claims files: YAML format, names, expressions, units, interval arithmetic.

It may import the errors and the path of the bundled claims files, nothing else of the suite. Start with `schema`, then
`values`.
"""
