"""What a comparison of two models needs before it is run: the report of the command `plan`.

It may import the schema, the statistics and the rendering. Start with `contents`; `text` writes it for the terminal.
"""
