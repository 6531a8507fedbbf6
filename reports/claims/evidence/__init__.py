"""What speaks for and against a claim: arithmetic, other documents, the public record, measurement.

May import the language, the records and the statistics. One module a kind of evidence.
"""
