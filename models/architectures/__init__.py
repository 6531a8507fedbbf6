"""Model architectures that the library lacks, or whose classes need a correction; one module per architecture.

It may import the schema and decoding. Start with `mixture`, a complete architecture with its processor; `int8` is a
weight format and `blip_decoder` replaces the library's decoding loop for BLIP.
"""
