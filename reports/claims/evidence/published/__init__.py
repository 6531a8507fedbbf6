"""Scores that others published, as facts that claims are compared with.

It may import the language of claims, the public record and the errors. Start with `scores`, which reads the formats;
`facts` makes facts of them.
"""
