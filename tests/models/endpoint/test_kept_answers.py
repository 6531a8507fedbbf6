"""Runs against a server that are killed: no answer that came is asked for again. The server counts."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter

import pytest
from commands import evals, start
from servers import FakeServer, Reply, chat, error

from evals.errors import InputError
from evals.records.answers import AnswerLog, forget
from evals.schema import Generate, Prediction

CONCURRENCY = 8
KILLS = 3


def counting_server():
    """A server that answers every chat after a few hundredths of a second."""
    draw = random.Random(0)

    def respond(call):
        if not call.path.endswith("/chat/completions"):
            return error(404, "no such path")
        return Reply(chat("The answer is 5.").body, delay=draw.random() * 0.06)

    return FakeServer(respond)


def asked(server):
    """How often each request for a sample was sent."""
    bodies = [json.dumps(call.body, sort_keys=True) for call in server.asked("/chat/completions")]
    return Counter(body for body in bodies if "number" in body or "seed" in body)


def records(folder):
    rows = sorted(map(json.loads, (folder / "samples.jsonl").read_text().splitlines()), key=lambda row: row["index"])
    return [{name: value for name, value in row.items() if name != "cost"} for row in rows]


def kill_and_resume(arguments, out, server, seed, at_least):
    """Kill a run at some random moments, each after some more answers; finish it."""
    draw = random.Random(seed)
    for _ in range(KILLS):
        before = len(asked(server))
        process = start("-m", "evals", *arguments, "--out", out, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(asked(server)) < before + at_least and time.monotonic() < deadline:
            assert process.poll() is None, "it is killed before it ends"
            time.sleep(0.005)
        time.sleep(draw.random() * 0.1)
        process.kill()
        process.wait()
    time.sleep(0.3)  # workers end when they notice that their parent has
    done = evals(*arguments, "--out", out) if "--workers" not in arguments else finished(arguments, out)
    assert done.returncode == 0, done.stderr


def finished(arguments, out):
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = start("-m", "evals", *arguments, "--out", out, **output)
    _, errors = process.communicate(timeout=200)
    return subprocess.CompletedProcess(arguments, process.returncode, "", errors)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "workers"), [("toy/numbers", 1), ("math", 3)])
def test_only_what_was_under_way_is_asked_for_again(tmp_path, task, workers):
    more = {"toy/numbers": ("--first", 400), "math": ("--limit", 60, "--samples", 4, "--temperature", 0.7)}[task]
    requests = {"toy/numbers": 400, "math": 240}[task]
    with counting_server() as server:
        model = f"endpoint:{server.url}?timeout=20&concurrency={CONCURRENCY}#m"
        arguments = ["run", "--model", model, "--task", task, *more]
        arguments += ["--workers", workers] if workers > 1 else []
        kill_and_resume(arguments, tmp_path / "run", server, seed=workers, at_least=40)
        counts = asked(server)
        whole = evals(*arguments[: 5 + len(more)], "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert len(counts) == requests, "each was asked for"
    repeated = sum(count - 1 for count in counts.values())
    print(f"{repeated} of {requests} requests were sent again")
    assert repeated <= KILLS * CONCURRENCY * workers
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    assert not list((tmp_path / "run").glob(".answers*")), "they are removed when they are recorded"


def request(number):
    return Generate(f"{number}", (f"number {number}",), 8)


def answer(number, **fields):
    return Prediction(
        f"{number}", f"{number + 1}é\n", scores=(0.1, -1e-300), tokens=(1, 2), charges={"x": 0.3}, **fields
    )


def test_what_is_kept_comes_back_as_it_was(tmp_path):
    log, other = AnswerLog(tmp_path), AnswerLog(tmp_path, 1)
    log.add(request(1), answer(1))
    assert other.find(request(1)) == answer(1)
    other.add(request(2), Prediction("2", failure="no"))
    assert log.find(request(2)) == Prediction("2", failure="no")
    assert log.find(request(3)) is None
    assert log.find(Generate("1", ("number 1",), 9)) is None, "another request of the same id"
    log.add(request(4), Prediction("4", "5", shortened=request(5)))
    assert other.find(request(4)) is None
    log.close()
    other.close()
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_off_by_a_kill_is_asked_for_again(tmp_path):
    log = AnswerLog(tmp_path)
    for number in range(3):
        log.add(request(number), answer(number))
    log.close()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        again, other = AnswerLog(tmp_path), AnswerLog(tmp_path, 1)
        kept = [again.find(request(number)) for number in range(3)]
        whole = content[: length + 1].count(b"\n")  # the last line break is written again
        assert kept == [answer(number) if number < whole else None for number in range(3)]
        again.add(request(7), answer(7))
        assert other.find(request(7)) == answer(7)
        again.close()
        other.close()


def test_no_damage_of_a_byte_changes_an_answer(tmp_path):
    log = AnswerLog(tmp_path)
    log.add(request(1), answer(1))
    log.close()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for place in range(len(content)):
        for change in (1, 32, 128):
            damaged = bytearray(content)
            damaged[place] ^= change
            path.write_bytes(damaged)
            other = AnswerLog(tmp_path, 1)
            assert other.find(request(1)) is None, "it is asked again"
            other.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        AnswerLog(tmp_path / "missing")
