"""Sentences of mini GLUE and mini math: grammar, entailment, sentence pairs, pronouns.

It may import the standard library only; everything is seeded and independent of every model. Start with `english`.
"""
