"""The benchmarks, one module each, read from top to bottom; a module registers its task as its last statement."""
