"""Scenes: what is in them, how they are drawn, and what is asked and said about them.

Seeded, and independent of every model. Start with `scenes`.
"""
