"""The mini benchmarks: seeded generators, and the splits that they made, in the official formats."""
