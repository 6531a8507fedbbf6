"""Scenes of the mini benchmarks: how they are composed and drawn, and the questions and captions about them.

It may import the standard library, Pillow and `evals.tasks.mini.vqa`; everything is seeded and independent of every
model. Start with `scenes`.
"""
