"""Compare the same runs on several days, and report values that left their intervals.

It may import the records, the comparison, the claims, the rendering and the naming of runs. Start with `series`.
"""
