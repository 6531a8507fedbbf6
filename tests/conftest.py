"""Fixtures and options that several test files share."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import commands
import draws as drawing
import hypothesis
import pytest

# Before torch is imported, and for the processes that tests start: the tests' models are so small that a second thread
# only waits, six times as long on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["COLUMNS"] = "100"  # tables are as wide on every terminal, and in the processes of pytest-xdist

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("untimed")

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark data: `$EVALS_DATA`, or `../shared/data` beside the checkout; skips without it."""
    folder = Path(os.environ.get("EVALS_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no benchmark data at {folder}")
    return folder


@pytest.fixture
def draws(request) -> int:
    """How many random cases a test marked `draws(some, all)` draws."""
    return drawing.count(*request.node.get_closest_marker("draws").args)


@pytest.fixture
def command():
    """Run a command in the current folder, within the tests' own process and without a network."""
    return partial(commands.evals, cwd=".", HF_HUB_OFFLINE="1")


def pytest_addoption(parser):
    parser.addoption(
        "--renew",
        choices=("runs", "text"),
        help="make reports/baseline and the front page's table again: run everything, or write from the records",
    )
