"""What several test files share."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import hypothesis
import pytest

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
def command(capsys, monkeypatch):
    """Run a command within the tests' own process, where the libraries are loaded already; returns as `evals` does."""
    from evals.app.cli import main

    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(*arguments):
        capsys.readouterr()
        code = main([*map(str, arguments)])
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


def pytest_addoption(parser):
    parser.addoption(
        "--renew",
        choices=("runs", "text"),
        help="make reports/baseline and the front page's table again: run everything, or write from the records",
    )
