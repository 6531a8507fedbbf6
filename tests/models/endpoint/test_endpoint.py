"""Models behind a server, against servers of the tests that are as faulty as real ones."""

from __future__ import annotations

import base64
import io
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import servers
from commands import ROOT, environ, evals, refused
from PIL import Image as Picture
from servers import FakeServer, Faulty, Reply, chat, error

from evals import registry
from evals.errors import EvalsError, InputError
from evals.execution.batching import plan
from evals.execution.resolve import resolve
from evals.models.endpoint import capabilities, client
from evals.models.endpoint.family import load
from evals.models.endpoint.requests import NEUTRAL
from evals.records.embeddings import unpack
from evals.schema import Choose, Embed, Generate, Image, Placement, Variant

KEY = "sk-very-secret-0123456789"
QUICK = "timeout=5&backoff=0.005&retries=2"


def answers(server, requests, options=QUICK, model="m"):
    """Load the model and answer the requests as a run would, one after the other."""
    loaded = load("endpoint:test", f"{server.url}?{options}#{model}", Placement())
    prompts = [loaded.prepare(request) for request in requests]
    found = {}
    for batch in plan(prompts, loaded.token_budget):
        for prediction in loaded.run(prompts, batch, loaded.stage(prompts, batch)):
            assert prediction.id not in found
            found[prediction.id] = prediction
    return loaded, [found[request.id] for request in requests]


def generate(text="number 1", id="1", **changes):
    return Generate(id, (text,), 8, **changes)


def chats(respond):
    """A server that answers chats by a function, after the first question of every run, and knows nothing else."""

    def answer(call):
        if not call.path.endswith("/chat/completions"):
            return error(404, "no such path")
        return chat("yes") if call.prompt == "Say yes." else respond(call)

    return FakeServer(answer)


def asked(server):
    """The chats that were asked for samples, not to find out what the server can do."""
    return [call for call in server.asked("/chat/completions") if call.prompt != "Say yes."]


def run(server, out, *more, options="timeout=2&backoff=0.01&retries=3&concurrency=32", **environment):
    model = f"endpoint:{server.url}?{options}#m"
    return evals("run", "--model", model, "--task", "toy/numbers", "--out", out, *more, **environment)


def rows(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


# A whole run


@pytest.mark.slow
def test_every_sample_ends_as_an_answer_or_a_failure_also_after_a_kill(tmp_path):
    with FakeServer(Faulty()) as server:
        model = f"endpoint:{server.url}?timeout=2&backoff=0.01&retries=3&concurrency=32#m"
        command = ["run", "--model", model, "--task", "toy/numbers", "--out", str(tmp_path / "run")]
        process = subprocess.Popen(
            [sys.executable, "-m", "evals", *command], cwd=ROOT, env=environ(), stderr=subprocess.DEVNULL
        )
        log = tmp_path / "run" / "samples.jsonl"
        while not log.exists() or log.read_bytes().count(b"\n") < 250:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = log.read_bytes()
        done = run(server, tmp_path / "run")
        sent = len(asked(server))
    assert done.returncode == 1, done.stderr
    assert log.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    found = rows(tmp_path / "run")
    assert sorted(int(row["id"]) for row in found) == list(range(1200))
    failed = {int(row["id"]) for row in found if row["failed"]}
    assert failed == {number for number in range(1200) if number % 20 in Faulty.LASTING}
    assert all(row["output"] == str(int(row["id"]) + 1) for row in found if not row["failed"])
    assert all(row["failure"] for row in found if row["failed"])
    assert sent > 1200
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["failed"] == len(failed)
    assert result["efficiency"]["retries"] > 100
    assert result["efficiency"]["prompt_tokens"] == 10 * (1200 - len(failed))


@pytest.mark.slow
def test_workers_share_a_server(tmp_path):
    with chats(lambda call: chat("5")) as server:
        done = run(server, tmp_path / "run", "--workers", "2", "--first", "60")
        texts = [call.prompt for call in server.asked("/chat/completions") if call.prompt != "Say yes."]
    assert done.returncode == 0, done.stderr
    assert sorted(texts) == sorted(f"number {n}" for n in range(60))


def test_the_key_is_sent_and_is_found_nowhere_else(tmp_path):
    def respond(call):
        number = int(call.prompt.split()[1])
        if number == 3:
            return error(400, f"bad request of {call.headers['authorization']}")
        if number == 4:
            return error(500, f"key {KEY} makes me stumble")
        return chat(f"you are {call.headers['authorization']}")

    prices = tmp_path / "prices.yaml"
    prices.write_text("currency: USD\nmodels:\n  m: {input: 1.0, output: 3.0}\n")
    options = f"timeout=5&backoff=0.005&retries=1&prices={prices}"
    with chats(respond) as server:
        done = run(server, tmp_path / "run", "--first", "8", options=options, EVALS_API_KEY=KEY)
        assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in server.calls)
        show = evals("show", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    texts = [path.read_text() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(texts) >= 5
    for text in (*texts, done.stdout, done.stderr, show.stdout):
        assert KEY not in text
        assert "very-secret" not in text
    assert any("[key]" in text for text in texts)
    spent = json.loads((tmp_path / "run" / "result.json").read_text())["efficiency"]
    assert spent["cost_usd"] == pytest.approx(6 * (10 * 1.0 + 2 * 3.0) / 1e6)
    assert "USD" in show.stdout


# What a user gets wrong: one line, exit code 2


def test_a_wrong_key_is_told_in_the_servers_words(tmp_path):
    def respond(call):
        return error(401, f"Incorrect API key provided: {call.headers['authorization'][7:]}. Ask an administrator.")

    for listing in (servers.LISTING, error(401, f"Incorrect API key provided: {KEY}. Ask an administrator.")):
        with FakeServer(respond, listing) as server:
            done = run(server, tmp_path / "run", EVALS_API_KEY=KEY)
        assert refused(done, "Incorrect API key provided", "Ask an administrator", "401")
        assert len(server.asked("/models")) == 1  # it is not asked again
        assert "secret" not in done.stderr
        assert not (tmp_path / "run").exists()


def test_nobody_there_and_no_such_host(tmp_path):
    arguments = ("run", "--task", "toy/numbers", "--out", tmp_path / "run", "--model")
    assert refused(evals(*arguments, "endpoint:http://127.0.0.1:9/v1?backoff=0.01#m"), "127.0.0.1:9", "refused")
    unknown = evals(*arguments, "endpoint:http://no-such-host.invalid/v1?backoff=0.01#m")
    assert refused(unknown, "no-such-host.invalid", "cannot be reached")


def test_a_wrong_model_name():
    def respond(call):
        return error(404, f"The model `{call.body['model']}` does not exist.")

    with FakeServer(respond) as server, pytest.raises(InputError, match=r"The model `n` does not exist.*it lists m"):
        load("endpoint:test", f"{server.url}#n", Placement())


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://user:hunter2@127.0.0.1/v1#m", "holds a name or password"),
        ("http://user:hunter2/x@127.0.0.1/v1#m", "cannot be read"),
        ("user:hunter2@127.0.0.1/v1#m", "is not an address"),
        ("127.0.0.1:8000/v1#m", "is not an address"),
        ("http://127.0.0.1:99999/v1#m", "cannot be read"),
        ("http://127.0.0.1/v1?api_key=hunter2#m", "'api_key' of endpoint 127.0.0.1 is unknown"),
        ("http://127.0.0.1/v1?timeout=soon#m", "timeout=soon"),
        ("http://127.0.0.1/v1?timeout=nan#m", "timeout=nan"),
        ("http://127.0.0.1/v1?concurrency=0#m", "concurrency=0"),
        ("http://127.0.0.1/v1?prices=/none.yaml#m", "/none.yaml"),
        ("#m", "EVALS_ENDPOINT"),
    ],
)
def test_addresses_that_cannot_be_used(address, words, monkeypatch):
    monkeypatch.delenv("EVALS_ENDPOINT", raising=False)
    with pytest.raises(InputError, match=words) as raised:
        load("endpoint:test", address, Placement())
    assert "hunter2" not in str(raised.value)


def test_the_address_may_come_from_the_environment_and_the_name_from_the_server(monkeypatch):
    with chats(lambda call: chat("2")) as server:
        monkeypatch.setenv("EVALS_ENDPOINT", server.url)
        assert load("named", "#m", Placement()).facts["served_model"] == "m"
        assert load("named", server.url, Placement()).facts["served_model"] == "m"


def test_a_row_of_variants_may_stand_for_a_server(monkeypatch):
    registry.discover()
    rows = registry.Registry("model")
    rows.add(Variant("big", "endpoint", "behind a server", {"mini": "#m", "full": "http://127.0.0.1:1/v1#m"}))
    monkeypatch.setattr("evals.execution.resolve.VARIANTS", rows)
    for scale, checkpoint, expected in (
        ("mini", None, "#m"),
        ("full", None, "http://127.0.0.1:1/v1#m"),
        ("full", "http://127.0.0.1:2/v1", "http://127.0.0.1:2/v1"),
        ("mini", "endpoint:http://127.0.0.1:3/v1#n", "http://127.0.0.1:3/v1#n"),
    ):
        found = resolve("big", scale=scale, checkpoint=checkpoint)
        assert (found.family.name, found.checkpoint, found.replica) == ("endpoint", expected, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: {}", "currency"),
        ("currency: USD\nmodels: {m: {input: 1}}", "m lacks output"),
        ("currency: USD\nmodels: {m: {input: 1, output: -1}}", "output is -1"),
        ("currency: USD\nmodels: {other: {input: 1, output: 1}}", "no price for 'm'; it has other"),
        ("- [", "prices.yaml"),
    ],
)
def test_prices_that_cannot_be_used(text, words, tmp_path):
    (tmp_path / "prices.yaml").write_text(text)
    with chats(lambda call: chat("2")) as server, pytest.raises(InputError, match=words):
        load("endpoint:test", f"{server.url}?prices={tmp_path / 'prices.yaml'}#m", Placement())


# When a run stops


def test_a_server_that_goes_away_stops_the_run_and_nothing_is_lost(tmp_path):
    away = []

    def answer(call):
        if len(server.calls) > 40 or away:
            away.append(call)
            return Reply(cut=-1)
        return chat("5") if call.path.endswith("/chat/completions") else error(404, "no such path")

    options = "timeout=2&backoff=0.005&retries=1&concurrency=4&deadline=4"
    with FakeServer(answer) as server:
        done = run(server, tmp_path / "run", options=options)
        kept = rows(tmp_path / "run")
        waits, gone = done.stderr.strip().splitlines()
        assert "waiting for it, for at most" in waits
        assert "the same command continues" in gone
        assert 20 < len(kept) < 45
        assert not any(row["failed"] for row in kept)
        away.clear()
        server.calls.clear()
    with chats(lambda call: chat("5")) as again:  # on another port it is another server, and says so
        other = run(again, tmp_path / "run", options=options)
    assert refused(other, "model.server")


def test_a_run_of_nothing_but_failures_stops():
    said = r"answered none of 32 requests in a row.*no pictures here"
    with chats(lambda call: error(400, "no pictures here")) as server, pytest.raises(InputError, match=said):
        answers(server, [generate(id=str(n)) for n in range(40)])


@pytest.mark.parametrize("lost", [error(404, "no model m"), chat("2", model="n")], ids=["404", "another model"])
def test_a_server_that_loses_its_model_fails_no_sample(lost):
    server = FakeServer(lambda call: chat("2") if call.path.endswith("/chat/completions") else error(404, "no path"))
    with server:
        loaded = load("endpoint:test", f"{server.url}?{QUICK}#m", Placement())
        prompts = [loaded.prepare(generate(id=str(n))) for n in range(2)]
        batches = plan(prompts, 1)
        assert loaded.run(prompts, batches[0], None)[0].output == "2"
        server._respond = lambda call: lost
        with pytest.raises(InputError, match=r"is gone: .*(no model m|from model 'n')"):
            loaded.run(prompts, batches[1], None)


def test_money_that_is_spent_stops_the_run():
    def respond(call):
        return error(402, "Insufficient Balance")

    with chats(respond) as server, pytest.raises(InputError, match=r"requires payment.*Insufficient Balance"):
        answers(server, [generate()])


def test_a_server_that_is_gone_stops_the_run():
    with chats(lambda call: chat("2")) as server:
        loaded = load("endpoint:test", f"{server.url}?{QUICK}&deadline=1#m", Placement())
    prompts = [loaded.prepare(generate())]
    for _ in range(2):  # so does every later request
        with pytest.raises(EvalsError, match=r"is gone|the deadline of 1 s has passed"):
            loaded.run(prompts, plan(prompts, 1)[0], None)


def test_a_server_that_comes_back_is_waited_for(capsys):
    def answer(call):
        if away and time.monotonic() < away[0]:
            return Reply(cut=-1)
        return chat("2") if call.path.endswith("/chat/completions") else error(404, "no such path")

    away: list[float] = []
    with FakeServer(answer) as server:
        loaded = load("endpoint:test", f"{server.url}?timeout=2&backoff=0.005&retries=1#m", Placement())
        away.append(time.monotonic() + 1.5)
        prompts = [loaded.prepare(generate(id=str(n))) for n in range(8)]
        with ThreadPoolExecutor(4) as threads:
            batches = plan(prompts, 1)
            answered = [p for ps in threads.map(lambda batch: loaded.run(prompts, batch, None), batches) for p in ps]
    assert [prediction.failure for prediction in answered] == [None] * 8
    waits, back = capsys.readouterr().err.strip().splitlines()
    assert "is gone" in waits
    assert "for at most" in waits
    assert "answers again after" in back


@pytest.mark.slow
def test_the_deadline_ends_a_run_of_several_workers(tmp_path):
    with chats(lambda call: Reply(b"{}", delay=60)) as server:
        done = run(server, tmp_path / "run", "--workers", "2", options="deadline=1&backoff=0.01")
    assert done.returncode == 1
    assert "the deadline of 1 s has passed" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_deadline_ends_the_run():
    with chats(lambda call: Reply(b"{}", delay=30)) as server:
        began = time.monotonic()
        with pytest.raises(EvalsError, match=r"the deadline of 0\.6 s has passed"):
            answers(server, [generate()], options="deadline=0.6&backoff=0.01")
        assert time.monotonic() - began < 15


def test_what_the_deadline_cuts_short_is_no_failure_of_its_sample():
    def respond(call):  # the first shows that the server is still there, so the second is not put down to that
        return error(500, "out of luck") if call.prompt == "number 1" else Reply(b"{}", delay=30)

    requests = [generate(), generate("number 2", "2")]
    with chats(respond) as server, pytest.raises(EvalsError, match="the deadline of 1 s has passed"):
        answers(server, requests, options="deadline=1&backoff=0.01&retries=0")


# One request


def test_what_is_sent_is_what_was_asked():
    drawing = generate(stop=("\n", "Q:"), temperature=0.7, top_p=0.9, seed=3)
    with chats(lambda call: chat(" two\nQ: three")) as server:
        _, (plain, drawn, again) = answers(server, [generate(id="a"), generate(id="b", stop=("\n",)), drawing])
        bodies = [call.body for call in asked(server)]
    assert plain.output == " two\nQ: three"
    assert drawn.output == again.output == " two"
    assert bodies[0] == {
        "model": "m", "messages": [{"role": "user", "content": "number 1"}], "max_tokens": 8, "temperature": 0.0,
        **NEUTRAL,
    }  # fmt: skip
    assert bodies[1]["stop"] == ["\n"]
    assert bodies[2]["temperature"] == 0.7
    assert bodies[2]["top_p"] == 0.9
    assert bodies[2]["stop"] == ["\n", "Q:"]
    assert isinstance(bodies[2]["seed"], int)


def test_stops_are_kept_from_a_server_that_stumbles_over_them():
    with chats(lambda call: chat("two\nthree")) as server:
        plain = server._respond
        server._respond = lambda call: error(500, "no vocabulary") if "stop" in (call.body or {}) else plain(call)
        loaded, (found,) = answers(server, [generate(stop=("\n",))])
    assert found.output == "two"
    assert loaded.facts["stops"] == "applied here"


def test_what_the_servers_configuration_adds_is_turned_off_where_the_server_allows_it():
    with chats(lambda call: chat("two")) as server:
        plain = server._respond
        server._respond = lambda call: error(400, "what is top_k?") if "top_k" in (call.body or {}) else plain(call)
        loaded, _ = answers(server, [generate()])
        assert not NEUTRAL.keys() & asked(server)[-1].body.keys()
        assert loaded.facts["sampling"] == "the request's; the server's configuration may add to it"
        server._respond = plain
        drawn = [generate(temperature=1.0, top_k=5), generate(id="2", sampling="checkpoint")]
        loaded, _ = answers(server, drawn)
        settings, own = (call.body for call in asked(server)[-2:])
    assert settings == {**settings, **NEUTRAL, "top_k": 5}
    assert not NEUTRAL.keys() & own.keys()
    assert loaded.facts["sampling"] == "the request's only"


def test_samples_of_one_question_have_seeds_of_their_own():
    requests = [generate(id=f"1#{n}", temperature=1.0) for n in range(4)]
    with chats(lambda call: chat("x")) as server:
        answers(server, requests)
        seeds = [call.body.get("seed") for call in asked(server)]
    assert len(set(seeds)) == 4


def picture(mode="RGB", kind="PNG", size=(30, 20), exif=None):
    buffer = io.BytesIO()
    more = {"exif": exif} if exif else {}
    Picture.new(mode, size, 90).save(buffer, kind, **more)
    return buffer.getvalue()


def test_pictures_go_as_they_are_or_as_png_and_blind_ones_grey(tmp_path):
    turned = Picture.Exif()
    turned[0x0112] = 6
    plain, odd = picture(kind="JPEG"), picture(kind="JPEG", exif=turned)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG broken")
    images = [
        Image("plain", data=plain),
        Image("turned", data=odd),
        Image("bitmap", data=picture(kind="BMP")),
        Image("blind", data=plain, blind=True),
        Image("bad", path=tmp_path / "bad.png"),
    ]
    requests = [Generate(image.key, (image, "What is it?"), 4) for image in images]
    with chats(lambda call: chat("a thing")) as server:
        _, found = answers(server, requests)
        sent = [call.body["messages"][0]["content"] for call in asked(server)]
    assert [bool(each.failure) for each in found] == [False] * 4 + [True]
    assert "bad.png" in found[4].failure
    kinds, datas = zip(*(content[0]["image_url"]["url"].split(";base64,") for content in sent), strict=True)
    assert kinds == ("data:image/jpeg", "data:image/png", "data:image/png", "data:image/png")
    assert base64.b64decode(datas[0]) == plain
    assert [content[1] for content in sent] == [{"type": "text", "text": "What is it?"}] * 4
    grey = Picture.open(io.BytesIO(base64.b64decode(datas[3])))
    assert (grey.size, grey.getcolors()) == ((30, 20), [(600, (128, 128, 128))])


def test_thinking_is_kept_apart_and_never_cut_by_a_stop(tmp_path):
    def answer(call):
        if not call.path.endswith("/chat/completions"):
            return error(404, "no")
        if call.prompt == "Say yes.":
            return chat(None, ended="length", reasoning_content="Let")
        if call.prompt == "apart":
            details = {"prompt_tokens": 5, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
            return chat("\n\n18\nmore", reasoning_content="First.\nThen.", usage=details)
        if call.prompt == "within":
            return chat("<think>First.\nThen.</think>\n\n18\nmore")
        return chat("<think>First.", ended="length")

    requests = [generate(text, text, stop=("\n",)) for text in ("apart", "within", "cut")]
    with FakeServer(answer) as server:
        loaded, (apart, within, cut) = answers(server, requests, QUICK + "&max_tokens=500")
        bodies = [call.body for call in asked(server)]
    assert apart.output == within.output == "18"
    assert apart.thought == within.thought == "First.\nThen."
    assert apart.charges["reasoning_tokens"] == 7
    assert (cut.output, cut.truncated, cut.thought) == ("", True, "First.")
    assert all("stop" not in body and body["max_tokens"] == 500 for body in bodies)
    assert loaded.facts["max_tokens"] == 500
    assert "here" in loaded.facts["stops"]


def test_a_thought_is_found_under_either_name():
    with chats(lambda call: chat([{"type": "text", "text": None}, {"type": "text", "text": "18"}],
                                 reasoning_content=None, reasoning="16 + 2")) as server:  # fmt: skip
        _, (found,) = answers(server, [generate()])
    assert (found.output, found.thought) == ("18", "16 + 2")


def test_a_server_is_given_the_time_that_it_asks_for():
    times = []

    def respond(call):
        times.append(time.monotonic())
        return error(429, "slow down", Retry_After="0.4") if len(times) == 1 else chat("2")

    with chats(respond) as server:
        _, (found,) = answers(server, [generate()])
    assert found.output == "2"
    assert found.charges["retries"] == 1
    assert times[1] - times[0] >= 0.4


def test_an_answer_that_does_not_end_in_time_is_asked_for_again():
    def respond(call):
        return Reply(b"{}", delay=2) if len(asked(server)) == 1 else chat("2")

    with chats(respond) as server:
        began = time.monotonic()
        _, (found,) = answers(server, [generate()], "timeout=0.3&backoff=0.01")
    assert found.output == "2"
    assert time.monotonic() - began >= 0.3


def test_openais_reasoning_models_want_another_name_for_the_limit():
    def answer(call):
        if "max_tokens" in call.body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return chat("2") if call.path.endswith("/chat/completions") else error(404, "no")

    with FakeServer(answer) as server:
        _, (found,) = answers(server, [generate()])
        assert server.asked("/chat/completions")[-1].body["max_completion_tokens"] == 8
    assert found.output == "2"


def test_a_base_model_completes_plain_text():
    def answer(call):
        if call.path.endswith("/chat/completions"):
            return error(400, "the tokenizer has no chat template")
        choice = {"index": 0, "text": f" {len(call.prompt)}", "finish_reason": "length", "logprobs": None}
        return Reply({"model": "m", "choices": [choice]})

    with FakeServer(answer) as server:
        loaded, (found,) = answers(server, [generate("four")])
    assert (found.output, found.truncated) == (" 4", True)
    assert loaded.facts["generates_by"] == "completions"
    assert "writing" in loaded.facts["chooses_by"]  # it ignored the question for log-probabilities


# Choosing


def words(text):
    """A tokenizer: each word with the blank before it."""
    return [" " + word if place else word for place, word in enumerate(text.split(" "))]


def weight(place, word):
    return None if place == 0 else -len(word) / (1 + place % 3)


def prompt_logprobs(way, added):
    """A server whose prompts have log-probabilities: a token's is made of its length and place."""

    def answer(call):
        if call.path.endswith("/chat/completions"):
            return chat("yes")
        if way not in call.body:
            return Reply({"model": "m", "choices": [{"index": 0, "text": "x", "finish_reason": "length"}]})
        choices, total = [], 0
        for index, prompt in enumerate(call.body["prompt"]):
            tokens = words(prompt)
            weights = [weight(place, word) for place, word in enumerate(tokens)]
            total += len(tokens)
            if way == "echo":
                new = [" new"] * added
                logprobs = {"tokens": tokens + new, "token_logprobs": weights + [-0.5] * added}
                choices.append({"index": index, "text": prompt + "".join(new), "logprobs": logprobs})
            else:
                entries = [
                    None if value is None else {str(hash(word) % 999): {"logprob": value, "decoded_token": word}}
                    for word, value in zip(tokens, weights, strict=True)
                ]
                choices.append({"index": index, "text": "x", "prompt_logprobs": entries})
        usage = {"prompt_tokens": total, "completion_tokens": added * len(choices)}
        return Reply({"model": "m", "choices": choices[::-1], "usage": usage})

    return answer


@pytest.mark.parametrize(("way", "added"), [("echo", 1), ("echo", 0), ("prompt_logprobs", 1)])
@pytest.mark.parametrize("normalise", ["none", "tokens", "characters"])
def test_choices_are_weighed_by_the_servers_log_probabilities(way, added, normalise):
    context, choices = "is it a cat or a dog", (" cat", " small dog", " no animal at all")
    request = Choose("1", (context,), choices, normalise)
    with FakeServer(prompt_logprobs(way, added)) as server:
        loaded, (found,) = answers(server, [request])
    before = len(words(context))
    scores = []
    for choice in choices:
        tokens = words(context + choice)
        scores.append(sum(weight(place, word) for place, word in enumerate(tokens) if place >= before))
    lengths = {"none": [1, 1, 1], "tokens": [1, 2, 4], "characters": [len(choice) - 1 for choice in choices]}[normalise]
    best = max(range(3), key=lambda n: scores[n] / lengths[n])
    assert found.scores == pytest.approx(scores)
    assert found.output == choices[best]
    assert (found.prompt_tokens, found.new_tokens) == (before, 7)
    assert way in loaded.facts["chooses_by"]


def test_what_a_server_ignores_is_asked_once_more_and_not_waited_for(monkeypatch):
    """Most servers answer a question for a prompt's log-probabilities with a plain completion, each time."""
    waits = []
    monkeypatch.setattr(client.Server, "sleep", lambda self, seconds: waits.append(seconds))
    with FakeServer(prompt_logprobs("nothing", 0)) as server:
        loaded, _ = answers(server, [Choose("1", ("is it",), (" no", " yes"))])
        tried = server.asked("v1/completions")
    assert "writing" in loaded.facts["chooses_by"]
    assert len(tried) == 2 * len(capabilities.LOGPROB_METHODS)
    assert not waits


@pytest.mark.parametrize("way", ["echo", "prompt_logprobs"])
def test_one_stumble_does_not_hide_that_a_server_weighs(way):
    stumbled = []

    def answer(call):
        if way in call.body and not stumbled:
            stumbled.append(call)
            return Reply({"model": "m", "choices": []})
        return prompt_logprobs(way, 0)(call)

    with FakeServer(answer) as server:
        loaded, (found,) = answers(server, [Choose("1", ("is it",), (" no", " yes"))])
    assert way in loaded.facts["chooses_by"]
    assert len(found.scores) == 2


def test_without_log_probabilities_a_choice_is_written_down():
    said = {"a": "Yes.", "b": "**No**", "c": "It depends: yes or no."}
    with chats(lambda call: chat(said[call.prompt[0]])) as server:
        loaded, found = answers(server, [Choose(id, (id,), (" no", " yes")) for id in said])
        prompt = asked(server)[0].prompt
    assert [each.output for each in found] == [" yes", " no", "It depends: yes or no."]
    assert not any(each.scores for each in found)
    assert "no, yes" in prompt
    assert "writing" in loaded.facts["chooses_by"]


def test_embeddings():
    def answer(call):
        if not call.path.endswith("/embeddings"):
            return error(400, "this model embeds")
        vector = [1.0, "x"] if call.body.get("input") == "bad" else [float(len(str(call.body.get("input")))), -0.5]
        return Reply({"data": [{"embedding": vector}], "usage": {"prompt_tokens": 3}})

    requests = [Embed("1", ("four",)), Embed("2", ("bad",)), Embed("3", (Image("p", data=picture()),))]
    with FakeServer(answer) as server:
        _, (text, bad, seen) = answers(server, requests)
        last = server.asked("/embeddings")[-1].body
    assert unpack(text.output).tolist() == [4.0, -0.5]
    assert text.prompt_tokens == 3
    assert "embedding" in bad.failure
    assert seen.failure is None
    assert last["messages"][0]["content"][0]["type"] == "image_url"
