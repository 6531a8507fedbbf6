"""Commands to calls.

Exit codes: 0 done; 1 samples failed, or `--strict` found a contradiction or a change; 2 bad usage or bad input, with
one line on standard error; 130 interrupted, and what was finished is kept. This is the only module that prints.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from evals.errors import EvalsError, InputError

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
FORMATS = ("md", "csv", "tex", "html", "json")
EXPORTS = ("every-eval-ever", "model-index", "eval-results")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        chosen = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = chosen.call
        chosen.command = shlex.join(["python", "-m", "evals", *arguments])
        return command(chosen)
    except InputError as error:
        print(f"evals: {error}", file=sys.stderr)
        return BAD_INPUT
    except EvalsError as error:
        print(f"evals: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("evals: interrupted; what was finished is kept, the same command goes on", file=sys.stderr)
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """One line of error, in the voice of the rest."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m evals", description="Evaluate models, compare runs, check what documents claim.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    listing = commands.add_parser("list", help="what there is, a line each")
    listing.add_argument("what", nargs="?", choices=("models", "tasks", "claims", "runs"), help="only these")
    listing.set_defaults(call=_list)
    model = commands.add_parser("show-model", help="one model: what it is, and its size, counted without its weights")
    model.add_argument("model", metavar="M", help="a name of `list models`, of models/configs.yaml, a hub id, a folder")
    model.set_defaults(call=_show_model)
    compare = commands.add_parser("compare", help="two runs: paired tests, and what differs in how they were made")
    compare.add_argument("runs", type=Path, nargs=2, metavar="RUN")
    compare.set_defaults(call=_compare)
    check = commands.add_parser(
        "check", help="claims to verdicts: arithmetic, other documents, the public record, runs"
    )
    check.add_argument("files", nargs="*", metavar="FILE.yaml", help="claims of a document; default: the two articles")
    check.add_argument("--paper", action="store_true", help="run no model; otherwise what is missing is run")
    check.add_argument("--scale", default="mini", metavar="S", help="mini: bundled replicas (default); full: public")
    check.add_argument(
        "--system",
        type=_system,
        action="append",
        default=[],
        metavar="SUBJECT=M",
        help="the model that stands for a subject: a name, hf:…, a folder, replay:FILE",
    )
    check.add_argument("--data", metavar="DIR", help="a folder with a benchmark's official files")
    check.add_argument("--out", type=Path, default=Path("runs/claims"), metavar="DIR", help="default runs/claims")
    check.add_argument("--recorded", metavar="DIR", help="run no model: read the records that an earlier --out holds")
    check.add_argument("--strict", action="store_true", help="exit with 1 where a claim is contradicted")
    check.add_argument("--summary", action="store_true", help="add to the GitHub job's summary; elsewhere, print it")
    check.set_defaults(call=_check)
    show = commands.add_parser("show", help="one run: result, how it was made, the worst samples")
    show.add_argument("run", type=Path, metavar="RUN")
    show.set_defaults(call=_show)
    score = commands.add_parser("score", help="score a run again from its record, without the model")
    score.add_argument("run", type=Path, metavar="RUN")
    score.set_defaults(call=_score)
    report = commands.add_parser("report", help="tables and pages of runs")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    report.add_argument("--format", choices=(*FORMATS, *EXPORTS), default="md")
    report.set_defaults(call=_report)
    series = commands.add_parser("trends", help="checks of several days: figures over time, and what left its interval")
    series.add_argument("days", type=Path, nargs="+", metavar="DIR", help="what check --out left, or a folder of runs")
    series.add_argument("--format", choices=("md", "html"), default="md")
    series.add_argument("--strict", action="store_true", help="exit with 1 where a figure left its interval")
    series.set_defaults(call=_trends)
    _add_attend(commands)
    return parser


def _add_attend(commands: Any) -> None:
    attend = commands.add_parser("attend", help="where a vision-language model looked: a heat map over a picture")
    add = attend.add_argument
    add("--model", required=True, metavar="M", help="as in run")
    add("--image", required=True, metavar="I", help="a picture")
    add("--question", required=True, metavar="Q", help="what is asked about it")
    add("--out", required=True, type=Path, metavar="PNG", help="where the heat map goes")
    add("--scale", default="mini", metavar="S", help="as in run")
    add("--checkpoint", metavar="C", help="as in run")
    add("--device", metavar="D", help="as in run")
    add("--layers", type=_several, metavar="N,N", help="layers of the decoder to average, from 0; default: all")
    add("--heads", type=_several, metavar="N,N", help="heads of each to average, from 0; default: all")
    add("--token", type=_whole, default=0, metavar="N", help="which token of the answer, from 0; default: the first")
    attend.set_defaults(call=_attend)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="evaluate a model on a task", epilog=_EXAMPLES, formatter_class=_Raw)
    add = run.add_argument
    add(
        "--model",
        required=True,
        metavar="M",
        help="a name of `list models`, hf:ORG/NAME[@REV], a folder, replay:FILE, endpoint:URL#NAME; for the task "
        "efficiency several with commas between, which are timed in turn so that their ratio is theirs",
    )
    add("--task", required=True, metavar="T", help="a name of `list tasks`")
    add("--scale", default="mini", metavar="S", help="mini: bundled model and data (default); full: public ones")
    add("--checkpoint", metavar="C", help="a folder or hub id, loaded instead of the model's own")
    add("--data", metavar="DIR", help="a folder with the benchmark's official files; for custom a JSON-lines file")
    add("--split", metavar="S", help="a split of the task; default: its first")
    add("--limit", type=_whole, metavar="N", help="only the first N samples")
    add("--out", metavar="DIR", help="the run folder; default runs/MODEL-TASK-SIGNATURE")
    add("--device", metavar="D", help="cpu, cuda, cuda:1; default: a GPU where there is one")
    add("--dtype", metavar="T", help="float32, bfloat16, float16; default float32 on a CPU, bfloat16 on a GPU")
    add("--token-budget", type=_whole, metavar="N", help="token positions a batch may hold; default: by the device")
    add("--shots", type=_whole, metavar="K", help="examples in the prompt, for tasks that take them")
    add("--same-shots", action="store_true", help="the same examples for every sample: they are computed once")
    add("--method", choices=("choose", "classify", "probe"), help="how a language task is asked")
    add("--blind", action="store_true", help="replace pictures by flat ones, recordings by silence: the control")
    add("--force", action="store_true", help="show pictures to a model not known to read them; blind control follows")
    add("--workers", type=_whole, default=1, metavar="N", help="processes that share the run")
    add("--temperature", type=float, default=0.0, metavar="T", help="0 takes the likeliest token; more draws")
    add("--top-p", type=float, default=1.0, metavar="P", help="draw from the smallest set with this much probability")
    add("--samples", type=_whole, default=1, metavar="K", help="outputs a problem, for pass@k and majority")
    add("--processes", type=_whole, metavar="N", help="efficiency: fresh starts of each model; default 3, full scale 5")
    add(
        "--repetitions", type=_whole, metavar="N", help="efficiency: of each request in each; default 10, full scale 30"
    )
    add("--seed", type=_whole, default=0, metavar="S", help="where draws start; each is joined with its sample's id")
    run.set_defaults(call=_run)


_EXAMPLES = """examples:
  python -m evals run --model vl --task vqa
  python -m evals run --model vl --task vqa --blind
  python -m evals run --model replay:results.json --task vqa --data ~/vqa2
  python -m evals run --model r1,v2 --task efficiency
"""


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


def _system(text: str) -> tuple[str, str]:
    subject, equals, model = text.partition("=")
    if not (subject and equals and model):
        raise argparse.ArgumentTypeError(f"{text!r} is not SUBJECT=MODEL")
    return subject, model


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _several(text: str) -> list[int]:
    return [_whole(number) for number in text.split(",")]


def _run(chosen: argparse.Namespace) -> int:
    from evals.app import api

    if chosen.scale == "mini":
        os.environ["HF_HUB_OFFLINE"] = "1"  # bundled files only: make no attempt at a network
    given = {name: value for name, value in vars(chosen).items() if name != "call"}
    given["progress"] = sys.stderr.isatty() or not os.environ.get("CI")
    several = "," in chosen.model and api.is_timed(chosen.task)
    runs = _in_turn(given) if several else [api.run(**given)]
    if chosen.force and not chosen.blind:
        aside = f"{Path(chosen.out)}-blind" if chosen.out else None
        runs.append(api.run(**{**given, "blind": True, "out": aside}))
    _print_table(runs)
    for record in runs:
        if record.result and record.result.failed:
            failed = record.result.failed
            print(f"evals: {failed} samples failed; remove {record.folder} to try again", file=sys.stderr)
            return FAILED
    return DONE


def _in_turn(given: dict[str, Any]) -> list[Any]:
    """Time several models together; what only one run can have is refused."""
    from evals.app import api

    taken = {"scale", "split", "out", "device", "dtype", "processes", "repetitions", "progress", "command"}
    usual = vars(_parser().parse_args(["run", "--model", "M", "--task", "T"]))
    for name, value in given.items():
        if name not in {*taken, "model", "task"} and value != usual[name]:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} cannot be given for several models that are timed in turn; leave it out")
    names = given["model"].split(",")
    return api.interleave(names, given["task"], **{name: given[name] for name in taken})


def _show(chosen: argparse.Namespace) -> int:
    from evals import records
    from evals.reports.runs import terminal

    _write(terminal.show(records.load(chosen.run)))
    return DONE


def _show_model(chosen: argparse.Namespace) -> int:
    from evals import registry
    from evals.data.hub import local_copy
    from evals.models.backend import size
    from evals.reports.runs import systems

    os.environ["HF_HUB_OFFLINE"] = "1"  # what lies here is counted; nothing is fetched for it
    counted = size.count_models(chosen.model, local_copy)
    rows = [systems.row(registry.VARIANTS.get(chosen.model))] if chosen.model in registry.VARIANTS else []
    _write(systems.sheets(chosen.model, rows + [systems.size(c.source, c.as_dict()) for c in counted]))
    return DONE


def _attend(chosen: argparse.Namespace) -> int:
    from evals.execution.resolve import resolve
    from evals.models.attention import VisualAttentionMapper
    from evals.schema import Placement

    if chosen.scale == "mini":
        os.environ["HF_HUB_OFFLINE"] = "1"
    loaded = resolve(chosen.model, scale=chosen.scale, checkpoint=chosen.checkpoint).load(Placement(chosen.device))
    seen = VisualAttentionMapper.of(loaded).generate_attention(
        chosen.image, chosen.question, layers=chosen.layers, heads=chosen.heads, token=chosen.token
    )
    try:
        seen.draw().save(chosen.out)
    except (OSError, ValueError) as error:  # no such folder, or a name that says no format of pictures
        raise InputError(f"cannot write {chosen.out}: {error}") from error
    row, column = divmod(int(seen.regions_RC.argmax()), seen.regions_RC.shape[1])
    _write(
        f"answer   {seen.answer}\n"
        f"looked   most at row {row + 1}, column {column + 1} of {len(seen.regions_RC)} x {seen.regions_RC.shape[1]}\n"
        f"share    {100 * seen.image_share:.0f} % of the attention of {seen.token.strip()!r} is on the picture\n"
        f"heat map {chosen.out}\n"
    )
    return DONE


def _compare(chosen: argparse.Namespace) -> int:
    from evals.app import check as checking
    from evals.reports.runs import comparison

    _write(comparison.text(checking.compare(*chosen.runs)))
    return DONE


def _check(chosen: argparse.Namespace) -> int:
    from evals.app import check as checking

    if chosen.scale == "mini":
        os.environ["HF_HUB_OFFLINE"] = "1"  # bundled files only: make no attempt at a network
    checked = checking.check(
        chosen.files, paper=chosen.paper, scale=chosen.scale, systems=dict(chosen.system), data=chosen.data,
        out=chosen.out, recorded=chosen.recorded, progress=sys.stderr.isatty() or not os.environ.get("CI"),
        command=chosen.command,
    )  # fmt: skip
    _write(checking.summarise_job(checked) if chosen.summary else checking.summary(checked, chosen.out))
    return FAILED if chosen.strict and checked.contradicted else DONE


def _score(chosen: argparse.Namespace) -> int:
    from evals.app import api

    _print_table([api.score(chosen.run)])
    return DONE


def _report(chosen: argparse.Namespace) -> int:
    from evals import records
    from evals.reports.runs import page, tables

    runs = [records.load(run) for run in chosen.runs]
    if chosen.format in EXPORTS:
        from evals.reports.exports import every_eval_ever

        _write(every_eval_ever.render(runs, chosen.format))
        return DONE
    _write(page.render(runs) if chosen.format == "html" else tables.render(runs, chosen.format))
    return DONE


def _trends(chosen: argparse.Namespace) -> int:
    from evals.reports.trends import page as trend_page
    from evals.reports.trends import series

    days = [series.read(folder) for folder in chosen.days]
    _write(trend_page.render(days, chosen.format))
    changed = series.changes(days) if chosen.strict else []
    for line in changed:
        print(f"evals: {line}", file=sys.stderr)
    return FAILED if changed else DONE


def _print_table(runs: Sequence[Any]) -> None:
    from evals.reports.runs import tables

    _write(tables.render(runs, "text"))


def _write(text: str) -> None:
    """Write to standard output, whose reader may have seen enough (`| head`)."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _list(chosen: argparse.Namespace) -> int:

    if chosen.what == "models":
        _list_models()
        return DONE
    if chosen.what == "claims":
        _list_claims()
        return DONE
    tables = {"models": _models, "tasks": _tasks, "claims": _documents, "runs": _runs}
    for what in [chosen.what] if chosen.what else tables:
        _write_rows(what, tables[what]())
    return DONE


def _write_rows(what: str, rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    _write(f"{what}:\n" if rows else f"{what}: none\n")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _write("  " + "  ".join(cells).rstrip() + "\n")


def _list_models() -> None:
    """Every registered model with all that its row tells, and the families that have a prefix of their own."""
    from evals.registry import FAMILIES, VARIANTS
    from evals.reports.runs import systems

    _write(systems.blocks(list(VARIANTS)) + "\n")
    _write_rows("families", [(f"{family.prefix}:…", family.summary) for family in FAMILIES if family.prefix])


def _list_claims() -> None:
    """Every claim of the bundled documents."""
    from evals.reports.claims.language import files
    from evals.reports.claims.output import listing as claim_list

    for path in files.bundled():
        document = files.load(path)
        _write_rows(f"{document.document.id}, {document.document.title}", list(claim_list.claims(document)))


def _documents() -> list[tuple[str, ...]]:
    from evals.reports.claims.output import listing as claim_list

    return claim_list.documents()


def _models() -> list[tuple[str, ...]]:
    from evals.registry import FAMILIES, VARIANTS

    rows: list[tuple[str, ...]] = [
        (variant.name, variant.family, " ".join(variant.tasks), variant.summary) for variant in VARIANTS
    ]
    return rows + [(f"{family.prefix}:…", family.name, "", family.summary) for family in FAMILIES if family.prefix]


def _tasks() -> list[tuple[str, ...]]:
    from evals.registry import TASKS

    return [(task.name, task.needs, " ".join(task.splits), task.summary) for task in TASKS]


def _runs() -> list[tuple[str, ...]]:
    """The runs under `runs/`, with their headline where they are finished."""
    from evals import records

    rows: list[tuple[str, ...]] = []
    for manifest in sorted(Path("runs").glob(f"*/{records.MANIFEST}")):
        try:
            rows.append((str(manifest.parent), _headline(records.load(manifest.parent))))
        except InputError as error:
            rows.append((str(manifest.parent), f"damaged: {error}"))
    return rows


def _headline(record: Any) -> str:
    if record.result is None:
        return "not finished"
    name = record.result.headline
    return f"{name} {record.result['metrics'][name]['value']:.4f} (n = {record.result['n']})"
