"""What reports and the terminal say about the runs of one model and task with several prompts.

It may import the records, the rendering, and nothing else of the reports. Start with `prompts`.
"""
