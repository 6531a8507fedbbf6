"""Recipes that train the bundled checkpoints, and the checkpoints: `python -m models.replicas.train NAME`."""
