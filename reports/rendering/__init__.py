"""Render what reports show: numbers as text, tables in four formats, inline SVG, pages.

It may import the schema and the errors only: it gets what it shows, reads no records and computes no statistics. Start
with `formatting`.
"""
