"""What reports and the terminal say about the verification of a run.

It may import the records, the rendering, and nothing else of the reports. Start with `verification`.
"""
