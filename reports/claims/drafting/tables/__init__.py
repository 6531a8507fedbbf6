"""The tables of an article: which way they are printed, what their columns hold, and their blocks in a claims file.

It may import the text and the language of drafts. Start with `blocks.read_table`.
"""
