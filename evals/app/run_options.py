"""Define the options of the command `run` for its samples, and for where and how a model is queried."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from evals import plain_numbers
from evals.errors import shorten
from evals.schema.config import ENGINES, LONG_PROMPTS


def add_selection(run: argparse.ArgumentParser) -> None:
    """Add the options for which samples are run."""
    add = run.add_argument
    add("--split", metavar="S", help="a split of `list tasks`, or of the files of --data; default: the first")
    add("--limit", type=integer, metavar="N", help="only N samples, chosen at random by --seed")
    add("--first", type=integer, metavar="N", help="only the first N samples; their metrics have no intervals")


def add_engine(run: argparse.ArgumentParser) -> None:
    """Add the options for what computes the model."""
    add = run.add_argument
    add(
        "--engine",
        choices=ENGINES,
        help="what computes a language model or a vision-language model: transformers (default on a CPU), or vllm "
        "(default on a GPU, where it is installed and has the architecture)",
    )
    add(
        "--tensor-parallel",
        type=integer,
        metavar="N",
        help="GPUs that each copy of the model is divided among, for --engine vllm; default 1",
    )


def add_workers(run: argparse.ArgumentParser) -> None:
    """Add the options for several workers; `--workers` is absent if it is not given, so that a cluster uses all."""
    add = run.add_argument
    add(
        "--workers",
        type=integer,
        default=argparse.SUPPRESS,
        metavar="N",
        help="number of processes that share the run; with --cluster the maximum number of workers",
    )
    add(
        "--cluster",
        metavar="auto|ray://HOST:PORT",
        help="compute on a Ray cluster: the one that this machine belongs to (auto), or one that is reached from "
        "outside; one worker per GPU, or per machine without GPUs",
    )
    add("--mixed", action="store_true", help="let the GPUs of a cluster be of different kinds, and record the kinds")


def add_watching(run: argparse.ArgumentParser) -> None:
    """Add the options for who learns of a run."""
    run.add_argument(
        "--progress",
        default="auto",
        metavar="bar|none|json[:FILE]",
        help="a progress bar (default, but not in CI jobs), nothing, or an event per line of JSON on standard error or "
        "at the end of a file",
    )
    run.add_argument(
        "--track",
        action="append",
        default=[],
        metavar="NAME[:PROJECT]",
        help="log settings, progress and result, but no samples, with trackio, mlflow or wandb; repeatable",
    )


def add_querying(run: argparse.ArgumentParser) -> None:
    """Add the options for how the model is queried."""
    add = run.add_argument
    add("--shots", type=integer, metavar="K", help="number of few-shot examples, for tasks that use them")
    add("--same-shots", action="store_true", help="use one fixed set of few-shot examples for all samples (faster)")
    add(
        "--method",
        choices=("choose", "classify", "probe"),
        help="how to query the model: score continuations (choose), use its classifier head (classify), or train a "
        "linear probe (probe)",
    )
    add(
        "--labels",
        metavar="N=LABEL,…",
        help="for a classifier whose classes have other names than the task's: which class each output means, by its "
        "number or name (0=negative,1=positive; POS=positive,NEG=negative)",
    )
    add(
        "--prompts",
        metavar="N|@FILE",
        help="ask with several prompt templates, the first N of the task or those of a file: a run folder for each, "
        "and the spread between them",
    )
    add("--blind", action="store_true", help="replace images by uniform ones and audio by silence: the blind control")
    add(
        "--long-prompts",
        choices=LONG_PROMPTS,
        help="a prompt that needs more positions than the model has: a recorded failure (fail, the default), or "
        "without its first examples, then without its first tokens (truncate-left)",
    )
    add(
        "--force", action="store_true", help="show images to a model not known to read them, then run the blind control"
    )


def add_early_stop(run: argparse.ArgumentParser) -> None:
    """Add the options for runs that stop as soon as they have shown what was asked."""
    run.add_argument(
        "--precision",
        type=real,
        metavar="P",
        help="compute samples in random order and stop as soon as the headline is known within P percentage points",
    )
    run.add_argument(
        "--predictor",
        action="append",
        default=argparse.SUPPRESS,
        metavar="RUN",
        help="with --precision: the folder of a finished run of all samples, of a smaller model for example, whose "
        "values predict which samples are right, so that fewer are needed; repeat it for several",
    )
    run.add_argument(
        "--until-decided",
        action="store_true",
        help="of several models: compute the same samples with all of them in turn, and stop as soon as it is shown "
        "which is better; a model is left out when another one is better",
    )
    run.add_argument(
        "--margin",
        type=real,
        metavar="M",
        help="with --until-decided: models whose difference is shown to be at most M percentage points are the same",
    )
    _add_against(run)


def _add_against(run: argparse.ArgumentParser) -> None:
    """Add the options for a race against an earlier run."""
    run.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="with --until-decided: stop as soon as it is shown whether the model is better or worse than in this "
        "earlier run, or in that of the same model and task in this folder; nothing of it is computed again",
    )
    run.add_argument("--strict", action="store_true", help="with --against: exit with 1 if a model has become worse")


def add_fast(check: argparse.ArgumentParser) -> None:
    """Add the option of `check` for runs that stop early."""
    check.add_argument(
        "--fast",
        action="store_true",
        help="stop runs that compare two systems as soon as they decide what the claims say, by intervals that are "
        "valid at every look; all other runs are complete, and the report says why",
    )


def add_sampling(run: argparse.ArgumentParser) -> None:
    """Add the options for generated outputs; those that are not given are absent, so a variant's own stand in."""
    unset: Any = argparse.SUPPRESS

    def add(flag: str, help: str, metavar: str, type: Any = str, **more: Any) -> None:
        run.add_argument(flag, type=type, default=unset, metavar=metavar, help=help, **more)

    add("--seed", "random seed; combined with each sample's id", "S", integer)
    add("--temperature", "sampling temperature; 0 (default) is greedy", "T", real)
    add("--top-p", "sample from the smallest set of tokens of this probability", "P", real)
    add("--top-k", "sample from the K most likely tokens", "K", integer)
    add("--min-p", "sample from tokens of at least this share of the most likely token's probability", "P", real)
    add("--generation", "checkpoint: sample as the checkpoint's generation_config.json says", "checkpoint")
    add("--max-new-tokens", "maximum number of new tokens per output; default: the task's", "N", integer)
    add("--stop", "a further string that ends an output; repeatable", "S", action="append")
    add("--system-prompt", "text of a system message, or @FILE that holds it", "TEXT")
    add("--chat-template", "on, off (plain text), or a Jinja file; default: on where there is one", "on|off|FILE")
    add("--thinking", "on or off, for chat templates that can turn thinking on and off", "on|off")
    run.add_argument(
        "--extend",
        type=integer,
        metavar="N",
        help="continue exactly the outputs of a finished run that were cut at the limit, up to N new tokens",
    )
    run.add_argument(
        "--samples", type=integer, default=1, metavar="K", help="outputs per problem, for pass@k and majority voting"
    )


def add_timing(run: argparse.ArgumentParser) -> None:
    """Add the options of timed tasks."""
    add = run.add_argument
    add(
        "--processes",
        type=integer,
        metavar="N",
        help="for efficiency: fresh processes per model; default 3, at full scale 5; with --rate independent replays, "
        "default 5",
    )
    add(
        "--repetitions",
        type=integer,
        metavar="N",
        help="for efficiency: times that each process computes each request; default 10, at full scale 30; with "
        "--rate the requests measured in each replay; default 200, at full scale 500",
    )
    add(
        "--rate",
        type=real,
        metavar="R",
        help="for efficiency: R requests per second arrive, whether or not earlier ones are answered; latencies "
        "include the queue",
    )
    add(
        "--arrivals",
        metavar="poisson|constant|FILE",
        help="how requests arrive: at random (poisson, the default with --rate), evenly, or at the times of a load "
        "trace: a CSV file of seconds",
    )
    add(
        "--batch",
        type=integer,
        metavar="N",
        help="with --rate: waiting requests that a local model answers together; default 1",
    )


def integer(text: str) -> int:
    """Read a whole number of the command line."""
    try:
        return plain_numbers.whole(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not a whole number") from None


def real(text: str) -> float:
    """Read a number of the command line."""
    try:
        return plain_numbers.real(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not a number") from None


def subject_and_model(text: str) -> tuple[str, str]:
    """Read `SUBJECT=MODEL`."""
    subject, equals, model = text.partition("=")
    if not (subject and equals and model):
        raise argparse.ArgumentTypeError(f"{text!r} is not SUBJECT=MODEL")
    return subject, model
