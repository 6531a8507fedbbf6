"""The recipe of R1 as document a describes it, a mixture of experts."""
