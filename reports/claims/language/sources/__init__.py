"""Source documents: their parts as a reader sees them, and the places of quotes in them.

It may import the errors. Start with `articles`.
"""
