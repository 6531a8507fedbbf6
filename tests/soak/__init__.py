"""A soak of the suite: damaged inputs of every kind, and commands that are killed at random times.

    python -m tests.soak --minutes 10

`mutators` and `binary` damage files, by seed. `targets` reads them as a user's commands do, and `limits` runs that in
processes with limits of time and memory. `kills` kills commands and continues them. `counts` adds up the results over
soaks. It may import everything; nothing imports it. Start with `__main__`.
"""
