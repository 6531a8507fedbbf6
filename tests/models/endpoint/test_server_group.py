"""Several servers of one model: balanced by what each bears, and nothing is lost or asked in vain when one ends."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import servers
from commands import evals, refused
from servers import FakeServer, Reply, chat, error

from evals.errors import InputError
from evals.execution.batching import plan
from evals.models.endpoint.family import load
from evals.models.endpoint.settings import read_servers
from evals.schema import Generate, Placement

OPTIONS = "timeout=3&backoff=0.02&retries=3&concurrency=16"


def successor(delay=0.0, model="m"):
    """A server that answers `number N` with N + 1, after some seconds."""

    def respond(call):
        if not call.path.endswith("/chat/completions"):
            return error(404, "no such path")
        number = re.search(r"number (\d+)", call.prompt)
        answer = chat(str(int(number[1]) + 1) if number else "yes", model=model)
        return Reply(answer.body, delay=delay if number else 0.0)

    return FakeServer(respond)


def asked(server):
    return [call.prompt for call in server.asked("/chat/completions") if "number" in call.prompt]


def run(out, *several, limit=400):
    model = f"endpoint:{several[0].url}?{OPTIONS}|" + "|".join(server.url for server in several[1:]) + "#m"
    return evals("run", "--model", model, "--task", "toy/numbers", "--limit", limit, "--out", out)


def rows(out):
    return [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_slow_server_gets_fewer_requests_and_none_is_asked_twice(tmp_path):
    with successor() as fast, successor(delay=0.3) as slow:
        done = run(tmp_path / "run", fast, slow)
        counts = [len(asked(server)) for server in (fast, slow)]
        prompts = [*asked(fast), *asked(slow)]
    assert done.returncode == 0, done.stderr
    assert len(prompts) == len(set(prompts)) == 400
    assert counts[0] > 1.5 * counts[1] > 0
    assert all(row["output"] == str(int(row["id"]) + 1) for row in rows(tmp_path / "run"))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["model"]["server"] == "|".join(sorted([fast.url, slow.url]))


@pytest.mark.slow
def test_when_a_server_dies_the_other_answers_everything(tmp_path):
    with successor(delay=0.02) as lasting:
        dying = successor(delay=0.02)
        dying.__enter__()

        def end():
            while len(asked(dying)) < 30:
                threading.Event().wait(0.01)
            dying.__exit__()

        ending = threading.Thread(target=end)
        ending.start()
        done = run(tmp_path / "run", dying, lasting)
        ending.join()
        sent = len(asked(dying)) + len(asked(lasting))
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run")
    assert len({row["id"] for row in found}) == len(found) == 400
    assert all(row["output"] == str(int(row["id"]) + 1) for row in found)
    assert sent <= 400 + 16, "only what was under way is asked again"
    retries = json.loads((tmp_path / "run" / "result.json").read_text())["efficiency"]["retries"]
    assert retries >= 1


@pytest.mark.parametrize(
    "bad",
    [error(404, "no model m"), error(500, "the engine is dead"), chat("x", model="n"), Reply(cut=-1)],
    ids=["404", "500", "another model", "cut"],
)
def test_a_server_that_fails_for_ever_costs_no_sample(bad):
    with successor(delay=0.01) as good, successor() as failing:
        address = f"{good.url}?timeout=3&backoff=0.01&retries=1&concurrency=4|{failing.url}#m"
        loaded = load("endpoint:test", address, Placement())
        failing._respond = lambda call: bad
        prompts = [loaded.prepare(Generate(str(n), (f"number {n}",), 8)) for n in range(40)]
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda batch: loaded.run(prompts, batch, None)[0], plan(prompts, 1)))
    assert [prediction.failure for prediction in found] == [None] * 40
    assert {prediction.output for prediction in found} == {str(n + 1) for n in range(40)}


def test_rejected_samples_of_a_group_stop_no_run():
    """A group counts consecutive failures as a single server does: answers in between end the count."""

    def some(call):
        number = re.search(r"number (\d+)", call.prompt)
        if not call.path.endswith("/chat/completions") or (number and int(number[1]) % 2):
            return error(400, "odd")
        return chat("yes")

    with FakeServer(some) as one, FakeServer(some) as other:
        loaded = load("endpoint:test", f"{one.url}?backoff=0.01|{other.url}#m", Placement())
        prompts = [loaded.prepare(Generate(str(n), (f"number {n}",), 8)) for n in range(140)]
        found = [loaded.run(prompts, batch, None)[0] for batch in plan(prompts, 1)]
    assert sum(prediction.failure is not None for prediction in found) == 70


def test_when_no_server_has_the_model_the_run_stops():
    with successor() as one, successor() as other:
        loaded = load("endpoint:test", f"{one.url}?backoff=0.01&retries=1|{other.url}#m", Placement())
        prompts = [loaded.prepare(Generate("1", ("number 1",), 8))]
        one._respond = other._respond = lambda call: error(404, "no model m")
        with pytest.raises(InputError, match=r"are gone: .*no model m"):
            loaded.run(prompts, plan(prompts, 1)[0], None)


def test_a_key_that_one_server_rejects_stops_the_run(tmp_path):
    with successor() as good, FakeServer(lambda call: error(401, "no such key")) as closed:
        done = run(tmp_path / "run", good, closed, limit=4)
    refused(done, closed.url, "rejects the key")


def test_servers_that_answer_differently_are_refused(tmp_path):
    with successor() as one, successor(model="n") as other:
        other.listing = servers.LISTING
        done = run(tmp_path / "run", one, other, limit=4)
    refused(done, one.url, other.url, "differ in model", "'m' and 'n'")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://a/v1|http://a/v1#m", "named twice"),
        ("http://a/v1|ftp://b/v1#m", "not an address"),
        ("http://a/v1/chat/completions#m", "ends in /chat/completions, which is added for each request"),
        ("http://a/v1?max_tokens=5|http://b/v1?max_tokens=6#m", "different values of max_tokens"),
    ],
)
def test_addresses_that_do_not_fit_are_refused(address, words):
    with pytest.raises(InputError, match=words):
        read_servers(address, {})


def test_several_servers_may_come_from_the_environment():
    several = read_servers("#m", {"EVALS_ENDPOINT": "http://a/v1|http://b/v1"})
    assert [(server.server, server.model) for server in several] == [("http://a/v1", "m"), ("http://b/v1", "m")]
