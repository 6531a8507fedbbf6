"""Sentences of mini GLUE and mini math: grammar, entailment, sentence pairs, pronouns.

Imports nothing but the standard library; everything is seeded and independent of every model. Start with `english`.
"""
