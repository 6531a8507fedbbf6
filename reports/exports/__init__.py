"""Write results in formats that others read: Every Eval Ever, and the metadata of the Hugging Face Hub.

It may import the records, `evals.reports.rendering` and `evals.reports.runs`. Start with `every_eval_ever`, whose
`render` writes all formats.
"""
