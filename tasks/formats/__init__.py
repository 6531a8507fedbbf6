"""How official files are read: one module a family of benchmarks.

May import the data room and the schema. Each module begins with the files that it reads.
"""
