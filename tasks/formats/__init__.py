"""Readers of the official files, one module per benchmark family.

It may import the errors, the data, the schema, the mini benchmarks' folder, and the tables and scoring of the tasks.
Start with `math`, the shortest; each module's docstring shows the files that it reads.
"""
