"""Timed runs: fresh processes, models in turn, the device's floors, and the statistics of times.

May import the execution and what lies below it. Start with `interleaving`.
"""
