"""Statistics of scored items: intervals, paired tests, power, decisions. Pure; numbers in, numbers out.

May import the errors and the schema. Start with `bootstrap`.
"""
