"""From prompts to tokens and log-likelihoods: slots of a cache, shared prefixes, sampling.

May import the architectures. Start with `engine`.
"""
