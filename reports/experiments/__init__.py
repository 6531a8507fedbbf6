"""Reports of experiments with deployed variants (A/B tests): sentences, tables, a page and a JSON document.

It may import the errors, the statistics and the rendering. Start with `contents`, which gathers what all forms show;
`write` makes the files of a folder.
"""
