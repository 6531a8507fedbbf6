"""Compare the same runs on several days, and report values that left their intervals.

May import the records, the comparison, the claims and the rendering. Start with `series`.
"""
