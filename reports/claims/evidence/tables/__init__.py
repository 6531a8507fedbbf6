"""Checks of tables: sums, bold, attainable values, units, and what the text says of them.

It may import the language, the statistics and the other modules of the evidence. Each check is a pure function of a
`Grid`; start with `grid`, then `checks`.
"""
