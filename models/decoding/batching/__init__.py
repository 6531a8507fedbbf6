"""Whether rows go through a model together: the table of architectures, and rotary embeddings that keep a state.

It may import the errors only. Start with `batch_rules`.
"""
