"""Results in the formats of others: Every Eval Ever, the hub.

May import the records and the reports of runs.
"""
