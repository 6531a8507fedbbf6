"""Figures over several days, and what left its interval.

May import the records, the claims and the rendering. Start with `series`.
"""
