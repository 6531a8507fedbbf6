"""What `check` writes: tables, the page, figures, exports, lists.

May import the verdicts and the rendering. Start with `tables`.
"""
