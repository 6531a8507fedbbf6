"""A soak of the suite: damaged inputs, commands that are killed at random times, and a faulty server.

    python -m tests.soak --minutes 10

`mutators` and `binary` damage files, by seed. `targets` reads them as a user's commands do, and `limits` runs that in
processes with limits of time and memory. `kills` disturbs commands and continues them; `processes` runs and disturbs
one, and `disk` has a disk that can be full. `server_runs` runs behind `faulty_server`. `counts` adds up the results of
all soaks. It may import everything; nothing imports it. Start with `__main__`.
"""
