"""The recipe of R1 as document b describes it."""
