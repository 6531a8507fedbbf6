"""The recipe of V3 as document b describes it, two streams."""
