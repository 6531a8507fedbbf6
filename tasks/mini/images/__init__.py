"""Scenes of the mini benchmarks: how they are composed and drawn, and the questions and captions about them.

Imports nothing but the standard library and Pillow; everything is seeded and independent of every model. Start with
`scenes`.
"""
