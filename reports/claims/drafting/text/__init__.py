"""The statements of sentences: the systems that an article names, who a number is about, and what it measures.

It may import `evals.reports.claims.drafting.language` and the blocks of an article. Start with `statements.read_block`.
"""
