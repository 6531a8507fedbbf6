"""Architectures that the library lacks, or whose classes need mending.

Imports no other room. One module an architecture.
"""
