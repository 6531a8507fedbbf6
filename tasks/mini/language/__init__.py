"""Sentences for mini GLUE: grammar, entailment, pairs, pronouns.

Seeded, and independent of every model. Start with `english`.
"""
