"""The recipe of R1-Zero, by reinforcement learning alone."""
