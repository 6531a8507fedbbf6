"""Streamed answers, and servers under a request rate, against a server that streams on this machine.

pytest tests/models/endpoint/test_streaming.py
"""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from servers import FakeServer, Reply, chat, error, streamed

import evals
from evals import Generate
from evals.models.endpoint import family
from evals.models.endpoint.responses import MalformedError
from evals.models.endpoint.streaming import EventReader, assembled
from evals.schema import Placement

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def loaded(server):
    address = f"{server.url}#m"
    return family.load(f"endpoint:{address}", address, Placement())


def streaming(reply):
    """Answer what asks for a stream with a reply, and the requests before a run with a chat."""
    return lambda call: reply if (call.body or {}).get("stream") else chat("yes")


def asked(reply):
    firsts = []
    with FakeServer(streaming(reply)) as server:
        answer = loaded(server).stream(Generate("7", ("Is it red?",), 8), lambda: firsts.append(time.perf_counter()))
        return answer, firsts, time.perf_counter(), [call for call in server.calls if (call.body or {}).get("stream")]


def test_the_first_token_comes_before_the_last():
    answer, firsts, end, calls = asked(streamed("It", " is", " red.", usage=USAGE, pause=0.03))
    assert (answer.output, answer.new_tokens, answer.prompt_tokens) == ("It is red.", 3, 9)
    assert len(firsts) == 1
    assert end - firsts[0] > 0.08
    assert len(calls) == 1
    assert calls[0].body["stream_options"] == {"include_usage": True}


def test_a_server_that_does_not_stream_is_timed_as_a_whole():
    answer, firsts, _, _ = asked(chat("It is red."))
    assert (answer.output, firsts) == ("It is red.", [])


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (error(503, "too busy"), "503"),
        (error(429, "slow down"), "429"),
        (error(400, "no such thing"), "400"),
        (Reply(b'data: {"error": {"message": "out of memory"}}\n'), "out of memory"),
        (Reply(streamed("It").body, cut=60), "connection broke"),
        (streamed("It", ended=None), "ended before"),
        (Reply(b"data: {]\n"), "no JSON"),
    ],
)
def test_what_fails_under_load_is_asked_once_and_says_why(reply, why):
    answer, _, _, calls = asked(reply)
    assert answer.output is None
    assert why in answer.failure
    assert len(calls) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_are_read_however_they_are_cut(size):
    data = streamed("", "It", " is").body
    calls, reader = [], EventReader(lambda: calls.append(seen))
    for seen in range(0, len(data), size):
        reader(data[seen : seen + size])
    assert len(calls) == 1
    assert assembled(data)["choices"][0]["message"]["content"] == "It is"
    assert assembled(data)["usage"]["completion_tokens"] == 2  # counted, since the server states none
    with pytest.raises(MalformedError):
        assembled(data[: data.index(b"finish_reason")])


@pytest.mark.slow
def test_a_server_under_a_rate(tmp_path, command):
    """One process of the command per replay; the server takes 60 ms, so requests are under way together."""
    reply = dataclasses.replace(streamed("It", " is", usage=USAGE, pause=0.01), delay=0.04)
    with FakeServer(streaming(reply)) as server:
        done = command(
            "run", "--model", f"endpoint:{server.url}#m", "--task", "efficiency",
            "--rate", 60, "--arrivals", "constant", "--processes", 2, "--repetitions", 20, "--out", tmp_path / "run",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert server.at_once > 1
    assert "the intervals rest on the independent replays" in done.stdout.replace("\n", " ")
    record = evals.load(tmp_path / "run")
    metrics = record.result["metrics"]
    assert (record.result["n"], metrics["latency"]["n"]) == (2 * 40, 2 * 20)
    for tail in ("", "/p90", "/p99"):
        assert metrics[f"latency{tail}"]["value"] >= metrics[f"time-to-first-token{tail}"]["value"] > 0
    assert metrics["latency"]["value"] > 0.05
    assert metrics["request-rate/asked"]["value"] == 60
    assert metrics["request-rate"]["value"] == pytest.approx(60, rel=0.3)
    assert metrics["send-delay"]["value"] >= 0
    assert record.manifest["data"]["arrivals"] == "constant"
    prompts = [call.prompt for call in server.calls if (call.body or {}).get("stream")]
    assert len(set(prompts)) == len(prompts) == 80  # nothing can come from a cache
    rows = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert {row["labels"]["phase"] for row in rows} == {"warm-up", "measured", "cool-down"}
    assert all(bool(row["values"]) == (row["labels"]["phase"] == "measured") for row in rows)
    again = command("score", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert evals.load(tmp_path / "run").result["metrics"] == metrics
