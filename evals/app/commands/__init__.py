"""Commands that are a module each: their options, and the call of the room that does the work.

It may import every other package. Start with `ab`. `evals.app.parser` adds the options, and `evals.app.cli` calls
`run`.
"""
