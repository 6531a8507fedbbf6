"""Statistics of scored items: intervals, paired tests, power and decisions, as pure functions of numbers.

It may import the errors and the schema. Start with `bootstrap`, then `paired` for two systems on the same items and
`decisions` for what an interval says about a claimed value.
"""
