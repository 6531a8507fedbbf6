"""What families share about torch: device, dtype, token budget, memory, tokenisation, sizes.

May import the architectures. Start with `pytorch`.
"""
