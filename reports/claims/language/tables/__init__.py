"""Tables of a claims file: their format, the reading of cells, and a claim for each cell.

It may import the errors and the other modules of the language. Start with `models`.
"""
