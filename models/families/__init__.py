"""The families: how each kind of checkpoint answers requests. One module a family, registered as its last statement.

May import decoding, backend and architectures. Start with `causal`.
"""
