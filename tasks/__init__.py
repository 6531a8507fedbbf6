"""The benchmarks, one module each; a module registers its task as its last statement.

It may import the schema, the registry, the data, the metrics, the statistics, the embeddings and the roofline, but no
model, no report and no other benchmark. Start with `tones`, the shortest, or with `vqa`; `formats` reads official
files, `scoring` holds longer scoring functions, `mini` generates the bundled data.
"""
