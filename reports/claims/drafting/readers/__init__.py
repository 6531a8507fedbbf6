"""Readers of articles: text, Markdown, HTML, LaTeX and PDF become blocks of plain text with their places in the source.

It may import the errors and `evals.reports.claims.language.sources.articles`. Start with `select.read`, which chooses a
reader.
"""
