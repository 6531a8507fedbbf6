"""The recipe of V3 as document a describes it, an encoder-decoder."""
