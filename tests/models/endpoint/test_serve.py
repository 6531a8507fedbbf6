"""Models behind a real server: `transformers serve` with a small random checkpoint, on loopback."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import checkpoints
import pytest
from commands import environ, evals, refused
from PIL import Image as Picture
from vqa_folders import vqa

from evals.execution.batching import plan
from evals.schema import Choose, Generate, Image, Placement

pytestmark = pytest.mark.slow

SERVE = "import sys; from transformers.cli.transformers import main; sys.exit(main())"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of DeepSeek-VL's class: its address, and its checkpoint, which is the model's name there."""
    for package in ("accelerate", "fastapi", "openai", "uvicorn"):
        pytest.importorskip(package, reason="the extra `serve` is not installed")
    folder = checkpoints.deepseek_vl(tmp_path_factory.mktemp("served"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    environment = environ(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--dtype", "float32"], env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url, process, log, seconds=240):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def answer(loaded, requests):
    prompts = [loaded.prepare(request) for request in requests]
    found = {}
    for batch in plan(prompts, loaded.token_budget):
        for prediction in loaded.run(prompts, batch, loaded.stage(prompts, batch)):
            found[prediction.id] = prediction
    return [found[request.id] for request in requests]


def test_the_server_says_what_the_same_weights_say_here(served):
    from evals.models.endpoint import family
    from evals.models.families import vision_language

    url, folder = served
    pictures = []
    for colour in ("crimson", "teal"):
        buffer = io.BytesIO()
        Picture.effect_noise((40, 30), 90).convert("RGB").save(buffer, "PNG")
        Picture.blend(Picture.open(buffer), Picture.new("RGB", (40, 30), colour), 0.5).save(buffer, "PNG")
        pictures.append(Image(colour, data=buffer.getvalue()))
    requests = [
        Generate(f"{picture.key} {question}", (picture, question), 6)
        for picture in pictures
        for question in ("What color is the large circle?", "How many squares are there?")
    ]
    here = answer(vision_language.load("here", str(folder), Placement(device="cpu", threads=1)), requests)
    there = family.load("there", f"{url}?timeout=120#{folder}", Placement())
    replies = answer(there, requests)
    assert [reply.failure for reply in replies] == [None] * 4
    assert [reply.output for reply in replies] == [prediction.output for prediction in here]
    assert [reply.truncated for reply in replies] == [prediction.truncated for prediction in here]
    assert [reply.prompt_tokens for reply in replies] == [prediction.prompt_tokens for prediction in here]
    assert [reply.new_tokens for reply in replies] == [prediction.new_tokens for prediction in here]
    # It takes the question for log-probabilities and ignores it: that is noticed, and the signature says so.
    assert "gives no log-probabilities" in there.facts["chooses_by"]
    (chosen,) = answer(there, [Choose("c", ("Is it red?",), (" yes", " no"))])
    assert chosen.failure is None
    assert chosen.scores == ()


def test_a_run_through_the_server(served, tmp_path):
    url, folder = served
    vqa(tmp_path / "data")
    run = ("run", "--task", "vqa", "--data", tmp_path / "data", "--out", tmp_path / "run", "--model")
    done = evals(*run, f"endpoint:{url}?timeout=120&concurrency=2#{folder}")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["n"], result["failed"]) == (6, 0)
    assert result["efficiency"]["prompt_tokens"] > 0
    wrong = evals(*run, f"endpoint:{url}#another")
    assert refused(wrong, "another", "Server is pinned to")
