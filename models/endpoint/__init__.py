"""A model behind an OpenAI-compatible server: requests, responses, retries, concurrency and prices.

It may import the schema, the registry, the data, the embeddings' format and decoding. Start with `family`; `settings`
documents the address and the key, `client` what happens to a request that fails.
"""
