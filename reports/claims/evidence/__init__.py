"""The four kinds of evidence for a claim: arithmetic, other documents, the public record, measurement.

May import the language, the records, the statistics and the rendering of numbers. Each module returns a `Finding`;
start with `arithmetic`.
"""
