"""From prompts to generated tokens and log-likelihoods: a key-value cache with slots, shared prefixes, sampling.

It may import the schema, the data, the embeddings' format and the architectures. Start with `engine`, which computes on
a cache with slots; `hf_generate` has the same interface for architectures that need the library's own loop, and `build`
chooses between the two.
"""
