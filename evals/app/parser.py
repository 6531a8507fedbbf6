"""Define the options of every command, with their help texts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

import evals
from evals.app import run_options
from evals.app.commands import ab, plan, push, quantise, select, verify, view
from evals.app.run_options import integer
from evals.errors import InputError

FORMATS = ("md", "csv", "tex", "html", "json", "svg", "png")
EXPORTS = ("every-eval-ever", "every-eval-ever-samples", "model-index", "eval-results")

_EXAMPLES = """examples:
  python -m evals run --model vl --task vqa
  python -m evals run --model vl --task vqa --blind
  python -m evals run --model replay:results.json --task vqa --data ~/vqa2
  python -m evals run --model r1,v2 --task math/gsm8k,glue/rte --out runs/both
  python -m evals run --model r1,v2 --task efficiency
"""


class _StoreOnce(argparse.Action):
    """Stores the value of an option, which may be given once: of two values the last would win without a word."""

    _stored_in: argparse.Namespace | None = None

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        """Store the value, or report that there is one."""
        if option is not None and self._stored_in is namespace:
            raise argparse.ArgumentError(self, "is given twice; give it once")
        self._stored_in = namespace
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """A parser that reports bad usage as an `InputError`, in one line."""

    def __init__(self, *args: Any, **more: Any) -> None:
        """Make a parser whose options hold one value unless they say otherwise."""
        super().__init__(*args, **more)
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise InputError(f"{message} (see {self.prog} --help)")


def build() -> Parser:
    """Build the parser of all commands; the command's name is in `command_name`."""
    parser = Parser(prog="python -m evals", description="Evaluate models, compare runs, check what documents claim.")
    parser.add_argument("--version", action="version", version=f"evals {evals.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command_name")
    _add_run(commands)
    _add_lists(commands)
    _add_check(commands)
    _add_draft(commands)
    _add_import(commands)
    new = _add_command(commands, "new-task", "write a commented task file that runs at once, without code")
    new.add_argument(
        "name", metavar="NAME", help="the task's name; NAME.yaml and its rows, NAME.jsonl, are written here"
    )
    _add_run_readers(commands)
    select.add_options(_add_command(commands, "select", select.SUMMARY))
    _add_trends(commands)
    ab.add_options(_add_command(commands, "ab", "compare deployed variants by the outcomes in a log (an A/B test)"))
    push.add_options(_add_command(commands, "push", push.SUMMARY))
    quantise.add_options(_add_command(commands, "quantise", "make a copy of a checkpoint with 8-bit integer weights"))
    plan.add_options(_add_command(commands, "plan", plan.SUMMARY))
    verify.add_options(_add_command(commands, "verify", verify.SUMMARY))
    view.add_options(_add_command(commands, "view", view.SUMMARY))
    _add_attend(commands)
    return parser


def _add_command(commands: Any, name: str, summary: str, **more: Any) -> argparse.ArgumentParser:
    """Add a command; its summary is shown by the help of all commands and by its own."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", **more
    )
    return command


def _add_lists(commands: Any) -> None:
    listing = _add_command(commands, "list", "list models, tasks, claim files and runs, or what one model can do")
    listing.add_argument(
        "what",
        nargs="?",
        metavar="models|tasks|claims|runs|M",
        help="list only these; or, for a model as --model of run names it, which tasks run and why others do not",
    )
    listing.add_argument("--scale", default="mini", metavar="S", help="of a registered model, as in run")
    model = _add_command(commands, "show-model", "describe one model, and count its size without reading its weights")
    model.add_argument(
        "model", metavar="M", help="a name of `list models` or of models/configs.yaml, a hub id, or a checkpoint folder"
    )


def _add_run_readers(commands: Any) -> None:
    """Add the commands that read finished runs."""
    compare = _add_command(commands, "compare", "compare two runs: paired tests, and how their set-ups differ")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the folders of two finished runs")
    show = _add_command(commands, "show", "show one run: result, set-up, worst samples")
    show.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    show.add_argument(
        "--prompt", metavar="ID", help="print exactly what the model read for the sample ID: its text and token ids"
    )
    show.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="show only samples that meet it: wrong, right, failed, unparsed, truncated, unfinished, long, disputed; "
        "NAME=TEXT, NAME<NUMBER or any~TEXT; several must all be met",
    )
    show.add_argument(
        "--sort",
        metavar="NAME",
        help="order of these samples: id, score, length, a value or a cost; NAME:desc for the largest first",
    )
    show.add_argument("--samples", type=integer, metavar="N", help="how many of these samples to show; default 12")
    show.add_argument(
        "--predictor",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="estimate the value of the whole split from a run of a part of it (run --limit or --precision) with this "
        "run of the whole as prediction; repeat it for several",
    )
    export = _add_command(commands, "export", "write the samples of a run as a table: Parquet, CSV or JSON lines")
    export.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    export.add_argument("--format", choices=("parquet", "csv", "jsonl"), required=True, help="of the file")
    export.add_argument("--out", type=Path, metavar="FILE", help="the file; default: export.FORMAT in the run's folder")
    gap = _add_command(commands, "gap", "say why two runs of one benchmark disagree, in points")
    gap.add_argument(
        "runs", type=Path, nargs=2, metavar="RUN", help="the folder of a finished run, also an imported one"
    )
    score = _add_command(commands, "score", "score the recorded outputs of a run again, without the model")
    score.add_argument("run", type=Path, metavar="RUN", help="a run folder with all of its samples")
    report = _add_command(commands, "report", "print tables, a page or an export of one or several runs")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the folder of a finished run")
    report.add_argument(
        "--format",
        choices=(*FORMATS, *EXPORTS),
        default="md",
        help="Markdown (default), CSV, LaTeX, HTML or JSON; svg or png: a forest plot of several runs; or the format "
        "of another tool",
    )
    report.add_argument("--out", type=Path, metavar="FILE", help="write to a file instead of the standard output")


def _add_check(commands: Any) -> None:
    check = _add_command(
        commands, "check", "check a document's claims against arithmetic, other documents, the public record and runs"
    )
    add = check.add_argument
    add(
        "files",
        nargs="*",
        metavar="ARTICLE|FILE.yaml",
        help="claims files, one per document, or articles (.txt, .md, .html, .tex, .pdf), whose claims are drafted; "
        "default: the two bundled articles",
    )
    add("--paper", action="store_true", help="run no model; without this option, the runs that claims need are made")
    add("--scale", default="mini", metavar="S", help="mini: bundled replicas (default); full: public models")
    add(
        "--system",
        type=run_options.subject_and_model,
        action="append",
        default=[],
        metavar="SUBJECT=M",
        help="the model to run for a subject of the document: as --model of run",
    )
    add("--data", metavar="DIR", help="a folder with a benchmark's official files")
    add("--out", type=Path, default=Path("runs/claims"), metavar="DIR", help="report folder; default runs/claims")
    run_options.add_fast(check)
    add("--recorded", metavar="DIR", help="run no model; read the records in the --out folder of an earlier check")
    add(
        "--evidence",
        action="append",
        default=[],
        metavar="PATH",
        help="published scores to compare claims with: Every Eval Ever logs, model cards (README.md), .eval_results, "
        "run folders, or a folder of these; may be repeated",
    )
    add("--strict", action="store_true", help="exit with 1 if a claim is refuted, or contradicted by another document")
    add(
        "--explain",
        action="append",
        metavar="ID",
        help="print the whole working of a claim's verdict in sentences, in place of the summary; may be repeated",
    )
    add(
        "--format",
        choices=("text", "summary"),
        default="text",
        help="what is printed: tables of the verdicts (default), or a summary of five lines to paste",
    )
    add(
        "--summary",
        action="store_true",
        help="append the findings to the GitHub job's summary; outside a job, print them",
    )


def _add_draft(commands: Any) -> None:
    draft = _add_command(commands, "draft", "draft a claims file from an article: text, Markdown, HTML, LaTeX or PDF")
    add = draft.add_argument
    add("articles", nargs="+", type=Path, metavar="ARTICLE", help="a .txt, .md, .html, .tex or .pdf file")
    add(
        "--out",
        type=Path,
        metavar="FILE.yaml",
        help="the claims file, or the folder of those of several articles; default: beside each article, ARTICLE.yaml",
    )
    add(
        "--llm",
        metavar="endpoint:URL#NAME",
        help="a model that proposes further claims, each with an exact quote; its proposals are kept beside the claims "
        "file, and replay:FILE reads them again",
    )
    add("--review", action="store_true", help="step through the drafted claims: accept, edit or drop each")


def _add_import(commands: Any) -> None:
    imported = _add_command(commands, "import", "make run folders of the logs of other harnesses")
    imported.add_argument(
        "logs",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a log, or a folder with logs: of lm-eval, lmms-eval, inspect_ai, lighteval, HELM, mteb, VLMEvalKit or "
        "Every Eval Ever",
    )
    imported.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the run folder, or of several runs the folder of theirs; default runs/<model>-<task>-<signature>",
    )


def _add_trends(commands: Any) -> None:
    trends = _add_command(commands, "trends", "show headline metrics over several days, and which left their interval")
    add = trends.add_argument
    add(
        "days",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="the runs of one day: an --out folder of check, or a folder of runs",
    )
    add("--format", choices=("md", "html"), default="md", help="Markdown (default) or HTML")
    add("--strict", action="store_true", help="exit with 1 if a value is outside its interval of the day before")


def _add_attend(commands: Any) -> None:
    attend = _add_command(commands, "attend", "draw a heat map of a vision-language model's attention to an image")
    add = attend.add_argument
    add("--model", required=True, metavar="M", help="as in run")
    add("--image", required=True, metavar="I", help="the image file")
    add("--question", required=True, metavar="Q", help="a question about the image")
    add("--out", required=True, type=Path, metavar="PNG", help="the heat map's file")
    add("--scale", default="mini", metavar="S", help="as in run")
    add("--checkpoint", metavar="C", help="as in run")
    add("--device", metavar="D", help="as in run")
    add("--layers", type=_integers, metavar="N,N", help="decoder layers to average, from 0; default: all")
    add("--heads", type=_integers, metavar="N,N", help="heads to average in each layer, from 0; default: all")
    add("--token", type=integer, default=0, metavar="N", help="token of the answer, from 0; default: the first")


def _add_run(commands: Any) -> None:
    run = _add_command(
        commands,
        "run",
        "evaluate a model on a task",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = run.add_argument
    models = run.add_mutually_exclusive_group(required=True)
    models.add_argument(
        "--model",
        metavar="M",
        help="a name of `list models`, hf:ORG/NAME[@REV], a folder, replay:FILE, endpoint:URL#NAME; several names "
        "separated by commas run on every task, each loaded once; for the task efficiency they alternate, so their "
        "speed ratio does not include machine drift",
    )
    models.add_argument(
        "--models-file", type=Path, metavar="FILE", help="names of models, one per line, instead of --model"
    )
    add(
        "--task",
        required=True,
        metavar="T",
        help="a name of `list tasks`, a task file (FILE.yaml), or several separated by commas",
    )
    add("--scale", default="mini", metavar="S", help="mini: bundled model and data (default); full: public ones")
    add(
        "--checkpoint",
        metavar="C",
        help="a folder, a hub id or endpoint:URL#NAME, used instead of the model's own checkpoint",
    )
    add(
        "--data",
        action="append",
        metavar="[TASK=]DIR",
        help="a folder with the benchmark's official files, or a table: CSV, TSV, JSON, JSON Lines, Parquet, Arrow, a "
        "folder of save_to_disk, a zip of images, hf:ORG/NAME[@REV][#CONFIG]; for several tasks TASK=DIR, repeated",
    )
    add(
        "--columns",
        metavar="FIELD=COLUMN,…",
        help="which columns of the table are which fields of the task: text=question,target=answer; default: guessed",
    )
    run_options.add_selection(run)
    add(
        "--out",
        metavar="DIR",
        help="the run folder, or the folder of all run folders (MODEL-TASK) of several models or tasks; default "
        "runs/MODEL-TASK-SIGNATURE",
    )
    add("--device", metavar="D", help="cpu, cuda, cuda:1; default: a GPU if there is one")
    add("--dtype", metavar="T", help="float32, bfloat16, float16; default: float32 on a CPU, bfloat16 on a GPU")
    add("--token-budget", type=integer, metavar="N", help="token positions in a batch; default: by the device")
    run_options.add_early_stop(run)
    run_options.add_engine(run)
    run_options.add_workers(run)
    run_options.add_watching(run)
    run_options.add_querying(run)
    run_options.add_sampling(run)
    run_options.add_timing(run)


def _integers(text: str) -> list[int]:
    return [integer(number) for number in text.split(",")]
