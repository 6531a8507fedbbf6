"""Readers of the official files, one module per benchmark family.

May import the data room, the schema, and the tables and scoring of the tasks. Start with `math`, the shortest; each
module's docstring shows the files that it reads.
"""
