"""How anything is shown: numbers as text, tables, SVG, pages. Reads no file and computes no statistic.

May import the schema. Start with `formatting`.
"""
