"""Read the answer that an output of a mathematics task states, and which of several outputs the majority gives.

It may import the metrics, the schema and the errors. Start with `answers`, which has the rules in their order: thoughts
and next questions are cut off (`outputs`), statements precede spans of mathematics, which precede the last number.
"""
