"""The four kinds of evidence for a claim: arithmetic, other documents, the public record, measurement.

It may import the language, the records, the comparison, the statistics, and the formatting and naming of runs. Each
module returns a `Finding`; start with `arithmetic`.
"""
