"""Reports of runs: what is shown (`view`), for the terminal, as tables, as a page.

May import the records, the statistics and the rendering. Start with `view`.
"""
