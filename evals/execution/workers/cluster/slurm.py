"""Write a Slurm script that starts a Ray cluster in an allocation, runs one command of the suite on it, and ends.

python -m evals.execution.workers.cluster.slurm --nodes 4 --gpus 8 --time 02:00:00 -- --model M --task T > run.sbatch
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence

from evals.errors import InputError, shorten

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=evals
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{gpu_line}#SBATCH --time={time}
#SBATCH --signal=B:TERM@60
# Load here what the nodes need: module load ..., source .../bin/activate
set -euo pipefail

port={port}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${{nodes[0]}}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{{print $1}}')
export RAY_ADDRESS="$address:$port" RAY_USAGE_STATS_ENABLED=0
# With a token, Ray's head asks for it, and its other commands only send it in this mode.
if [ -z "${{RAY_AUTH_MODE:-}}" ] && [ -f "$HOME/.ray/auth_token" ]; then
    export RAY_AUTH_MODE=token
fi
export SRUN_CPUS_PER_TASK={cpus}  # job steps do not inherit --cpus-per-task since Slurm 22.05

# Ray runs in job steps, which end with the job.
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \\
    env -u RAY_ADDRESS ray start --head --node-ip-address="$address" --port="$port" \\
    --num-cpus={cpus} --num-gpus={gpus} --include-dashboard=false --block &
ready=no
for _ in $(seq 60); do
    if srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \\
        ray health-check --address "$RAY_ADDRESS" &> /dev/null; then
        ready=yes
        break
    fi
    sleep 2
done
if [ "$ready" = no ]; then
    echo "Ray has not started on $head" >&2
    exit 1
fi
for node in "${{nodes[@]:1}}"; do
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" \\
        ray start --address="$RAY_ADDRESS" --num-cpus={cpus} --num-gpus={gpus} --block &
done

# The driver runs on the first node, in the background so that the shell can pass a signal on. Nodes that join are used.
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \\
    python -m evals run {command} --cluster auto &
driver=$!
trap 'kill -INT "$driver"' TERM
status=0
wait "$driver" || status=$?
wait "$driver" 2>/dev/null || status=$?
exit "$status"
"""


_TIME = re.compile(r"\d{1,7}(:\d\d){0,2}|\d{1,4}-\d\d?(:\d\d){0,2}", re.ASCII)
"""Time limits that Slurm reads: minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""


def check(arguments: Sequence[str], *, nodes: int, gpus: int, cpus: int, time: str) -> None:
    """Refuse, before it waits in a queue, a job that cannot run.

    Args:
        arguments: as in `script`, like the others.
        nodes: number of nodes.
        gpus: GPUs per node.
        cpus: cores per node.
        time: the time limit.

    Raises:
        InputError: says what is allowed.

    Example:
        >>> check(["--model", "r1", "--task", "glue"], nodes=0, gpus=0, cpus=8, time="10")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --nodes 0: give 1 or more
    """
    for flag, value, least in (("--nodes", nodes, 1), ("--cpus", cpus, 1), ("--gpus", gpus, 0)):
        if value < least:
            raise InputError(f"{flag} {value}: give {least} or more")
    if _TIME.fullmatch(time) is None:
        raise InputError(f"--time {shorten(time)}: Slurm reads minutes, HH:MM:SS or D-HH:MM:SS")
    named = {argument.partition("=")[0] for argument in arguments}
    if "--cluster" in named:
        raise InputError("--cluster: leave it out, the script adds it with the cluster that it starts")
    if "--task" not in named or not named & {"--model", "--models-file"}:
        raise InputError("give after -- the arguments of `evals run`: --model M --task T ...")


def script(
    arguments: Sequence[str], *, nodes: int, gpus: int = 0, cpus: int = 8, time: str = "01:00:00", port: int = 6379
) -> str:
    """Write the script.

    Args:
        arguments: those of `evals run`, without `--cluster`.
        nodes: number of nodes.
        gpus: GPUs per node; 0 is none.
        cpus: cores per node.
        time: the allocation's time limit, as Slurm reads it.
        port: port of the cluster's head.

    Example:
        >>> text = script(["--model", "r1", "--task", "glue/rte"], nodes=2, gpus=4)
        >>> [line for line in text.splitlines() if "gpus-per-node" in line or "evals run" in line]
        ['#SBATCH --gpus-per-node=4', '    python -m evals run --model r1 --task glue/rte --cluster auto &']
    """
    return _SCRIPT.format(
        nodes=nodes,
        cpus=cpus,
        gpus=gpus,
        gpu_line=f"#SBATCH --gpus-per-node={gpus}\n" if gpus else "",
        time=time,
        port=port,
        command=shlex.join(arguments),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the script to standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.execution.workers.cluster.slurm", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--nodes", type=int, required=True, metavar="N", help="number of nodes")
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs per node; default 0")
    parser.add_argument("--cpus", type=int, default=8, metavar="N", help="cores per node; default 8")
    parser.add_argument("--time", default="01:00:00", metavar="T", help="time limit; default 01:00:00")
    parser.add_argument("run", nargs="+", metavar="ARGUMENT", help="after --: the arguments of `evals run`")
    options = parser.parse_args(arguments)
    try:
        check(options.run, nodes=options.nodes, gpus=options.gpus, cpus=options.cpus, time=options.time)
    except InputError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    sys.stdout.write(script(options.run, nodes=options.nodes, gpus=options.gpus, cpus=options.cpus, time=options.time))


if __name__ == "__main__":
    main()
