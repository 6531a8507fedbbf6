"""What several prompts give: the types of `prompts.json`, and how it is written and read.

DIR/prompts.json, prompts.md     the summary
DIR/prompt-1, prompt-2, …        one run folder per prompt, each a run like any other
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from evals import regular_files
from evals.errors import RecordError
from evals.records.folder import Record, dumps
from evals.records.stored import Real, Size, Stored
from evals.temporaries import write_atomically

PROMPTS = "prompts.json"


class PromptEntry(Stored, kw_only=True):
    """One prompt with the run that used it."""

    folder: str
    """The name of its run folder, beside the summary."""
    signature: str
    template: str
    value: Real
    """The mean of the samples' values under `metric`."""
    low: Real | None
    high: Real | None
    """Its 95 % interval over samples."""
    headline: Real
    """The headline of the run."""
    failed: Size
    unparsed: Size


class PromptsSummary(Stored, kw_only=True):
    """The values of several prompts, and their mean over prompts and samples."""

    model: str
    task: str
    scale: str
    split: str
    replica: bool = False
    """Whether the model is a bundled replica, which learnt one wording only."""
    metric: str
    """Which value of the samples is averaged."""
    headline: str
    """The task's headline, which may be no mean of samples."""
    samples: Size
    prompts: list[PromptEntry]
    value: Real
    """The mean over prompts and samples."""
    low: Real
    high: Real
    """Its 95 % interval over prompts like these and samples like these."""
    sample_low: Real
    sample_high: Real
    """Its 95 % interval for these prompts, over samples alone."""
    spread: Real
    """Standard deviation between prompts, without what chance in the samples adds to it."""
    prompt_error: Real
    """Standard error of the mean by the choice of prompts."""
    sample_error: Real
    """Standard error of the mean by the choice of samples."""
    command: str = ""

    @property
    def range(self) -> float:
        """The difference between the best and the worst prompt on these samples."""
        values = [entry.value for entry in self.prompts]
        return max(values) - min(values)


def write_summary(folder: Path, summary: PromptsSummary) -> Path:
    """Write `prompts.json` into a folder, and return its path."""
    path = folder / PROMPTS
    write_atomically(path, dumps(summary.to_dict()))
    return path


def read_summary(folder: Path) -> PromptsSummary:
    """Read `prompts.json` of a folder. Raises `RecordError` if it is missing or damaged."""
    path = folder / PROMPTS
    try:
        return msgspec.json.decode(regular_files.read(path), type=PromptsSummary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{path} is no summary of prompts, or damaged: {error}") from error
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}") from error


def summary_of(record: Record) -> PromptsSummary | None:
    """Return the summary that a run belongs to; None if it is the run of a single prompt, or has changed since."""
    folder = record.folder.resolve()
    if not (folder.parent / PROMPTS).is_file():
        return None
    summary = read_summary(folder.parent)
    signatures = {entry.folder: entry.signature for entry in summary.prompts}
    return summary if signatures.get(folder.name) == record.manifest.signature else None
