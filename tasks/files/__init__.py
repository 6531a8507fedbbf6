"""Tasks in YAML files, without code: `evals run --task ./mmlu.yaml`, and the files `tasks/*.yaml`.

It may import what tasks import, and `yaml_files`. Start with `spec`, which has every key; `samples` makes requests of
rows, `reading` reads answers, `scoring` scores and summarises, `task` puts them together.
"""
