"""What the families share: device, dtype, loading weights, token budgets, memory, tokenisation, parameter counts.

It may import the schema, the registry, the data, decoding and the architectures. Start with `pytorch`;
`tokenisation` is for models that read whole texts, `size` counts parameters from a configuration, and
`resource_requirements` counts what a loaded model must read and compute per token.
"""
