"""Write the result of a check: tables, the page, drawings, exports for continuous integration, lists.

It may import the verdicts, the evidence, the language, the records, the rendering and the naming of runs. Start with
`tables`.
"""
