"""Write the result of a check: tables, the page, drawings, exports for continuous integration, lists.

May import the verdicts, the evidence and the rendering. Start with `tables`.
"""
