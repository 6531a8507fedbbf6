"""A key that a server sends back, in any form and any place, is written nowhere; an exchange keeps its time limit.

pytest tests/models/endpoint/test_secrets.py
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
import urllib.parse

import pytest
from commands import evals, refused
from hypothesis import given
from hypothesis import strategies as st
from key_forms import key_forms
from servers import LISTING, FakeServer, Reply, chat, error

from evals.errors import InputError
from evals.models.endpoint.secrets import PLACEHOLDERS, KeyMask, mask_shortened_keys
from evals.models.endpoint.settings import find_key, read_settings

KEY = "sk-Very/secret+key=77"
FORMS = key_forms(KEY)


def test_of_a_text_that_spells_a_key_in_another_way_nothing_is_left():
    assert KeyMask(KEY).text("the key is " + "----------------".join(KEY)) == "[key]"
    assert KeyMask("k9-x").text("k-9-x") == "k-9-x"  # of so short a key, that may be anything


LONG_KEY = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t"


def traces(key):
    """The texts that give the key away: itself, and ten characters of a form of it."""
    encoded = [base64.b64encode(b"x" * before + key.encode()).decode().rstrip("=")[4:-4] for before in range(3)]
    return [key, urllib.parse.quote(key, safe=""), json.dumps(key)[1:-1], key.encode().hex(), *encoded]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked(form):
    masked = KeyMask(KEY).text(f"before {FORMS[form]} after")
    assert "[key]" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert len(masked) < len("before [key] after") + 22
    assert not any(trace in masked for trace in traces(KEY))


@pytest.mark.parametrize("text", [LONG_KEY[:20], LONG_KEY[:31], LONG_KEY[-16:], f"key={LONG_KEY[:17]}…"])
def test_a_key_that_a_server_cuts_is_masked(text):
    masked = KeyMask(LONG_KEY).text(f"before {text}")
    assert "[key]" in masked
    assert LONG_KEY[4:16] not in masked
    assert LONG_KEY[-12:] not in masked


@pytest.mark.parametrize(
    "piece", ["\\", "%25", "&#0", "&amp;", "s", "s\\", "&#x0", "73 ", "115, ", "c2s", "\\n", "*", "a"]
)
def test_masking_takes_time_in_proportion_to_the_text(piece):
    mask = KeyMask(LONG_KEY)
    text = piece * (200_000 // len(piece))
    start = time.process_time()
    assert mask.text(text) == text
    assert len(mask.message(text)) <= 300
    assert time.process_time() - start < 5  # 0.1 s; with one unbounded repetition, it is over a minute


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40).filter(
        lambda key: key.lower() not in PLACEHOLDERS and "[key]" not in key and key not in "[key]"
    ),
    st.text(max_size=20),
    st.sampled_from(["", "x", "xy"]),
)
def test_any_key_is_masked_in_any_text(key, text, before):
    mask = KeyMask(key)
    encoded = base64.b64encode((before + key).encode()).decode()
    for form in (key, urllib.parse.quote(key, safe=""), json.dumps(key)[1:-1], encoded):
        masked = mask.text(f"{text} {form} {text}")
        assert "[key]" in masked
        assert form not in masked
    assert mask.value({key: [text, (key,)]}) == {"[key]": [mask.text(text), ("[key]",)]}


@given(st.text(), st.sampled_from(sorted(PLACEHOLDERS)))
def test_a_placeholder_masks_nothing(text, key):
    assert KeyMask(key).text(text) == KeyMask(None).text(text) == text


@pytest.mark.parametrize("piece", ["x", "*", "\\", "%25", "&#0", "sk-", "73", "\\u00", KEY[:-1]])
def test_a_long_page_is_masked_in_linear_time(piece):
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    masked = mask_shortened_keys(KeyMask(KEY).text(f"{text} {KEY}"))
    assert masked.endswith(" [key]")
    assert time.process_time() - start < 5, "a quadratic search takes an hour"


def run(server, out, *more, options="timeout=5&backoff=0.005&retries=1", key=KEY):
    model = f"endpoint:{server.url}?{options}#m"
    return evals(
        "run", "--model", model, "--task", "toy/numbers", "--out", out, "--first", "12", *more, EVALS_API_KEY=key
    )


@pytest.mark.slow
@pytest.mark.parametrize("key", [KEY, "k9!"])
def test_a_key_in_every_body_and_error_is_found_nowhere(tmp_path, key):
    escaped = "".join(f"\\u{ord(character):04x}" for character in key)
    quoted = json.dumps(key)[1:-1]

    def respond(call):
        if call.prompt == "Say yes.":
            return chat(f"yes {key}")
        if not call.path.endswith("/chat/completions"):
            return error(404, f"no such path for {key}", x_key=key)
        number = int(call.prompt.split()[1])
        answers = [
            chat(f"you are {key}!", reasoning_content=f"thinking of {key}"),
            Reply(chat("KEY").body and json.dumps(chat("KEY").body).replace("KEY", escaped).encode()),
            Reply(json.dumps(chat("KEY").body).replace("KEY", quoted.replace("/", "\\/")).encode()),
            chat(None, content=[{"type": "text", "text": key[:2]}, {"type": "text", "text": key[2:]}]),
            error(400, f"bad request of {key}", x_request=key),
            error(500, f"stumbled over {urllib.parse.quote(key, safe='')}"),
            Reply(f"<html>{key} {escaped}".encode(), 502, {"retry_after": "0"}),
            Reply(f'{{"broken": "{escaped}'.encode()),
            chat("5", model=f"m-{key}"),
            chat(base64.b64encode(f"Bearer {key} and more".encode()).decode()),
            error(422, json.dumps({"detail": [{"input": key}]})),
            chat(f"({key})"),
        ]
        return answers[number]

    with FakeServer(respond, LISTING) as server:
        done = run(server, tmp_path / "run", key=key)
        shown = evals("show", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    texts = [path.read_text() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(texts) >= 5
    forms = [key, escaped] if key == "k9!" else [*traces(key), escaped]
    for text in (*texts, done.stdout, done.stderr, shown.stdout):
        for form in forms:
            assert form not in text
    assert "[key]" in "".join(texts)


@pytest.mark.slow
def test_a_redirect_is_refused_by_its_target(tmp_path):
    def respond(call):
        return Reply(b"", 302, {"Location": f"https://elsewhere.example/v1?k={KEY}"})

    for listing in (LISTING, respond(None)):
        with FakeServer(respond, listing) as server:
            done = run(server, tmp_path / "run")
        assert refused(done, "redirects (302) to https://elsewhere.example/v1?k=[key]")


class Trickle:
    """A server that sends a byte of its headers every 0.3 s, for ever."""

    def __enter__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._socket.close()

    def _accept(self):
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._send, args=(connection,), daemon=True).start()

    def _send(self, connection):
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not self._ended.wait(0.3):
                    connection.sendall(b"x")
            except OSError:
                return


@pytest.mark.slow
def test_trickling_headers_end_at_the_time_limit(tmp_path):
    with Trickle() as server:
        start = time.monotonic()
        done = run(server, tmp_path / "run", options="timeout=1&deadline=8&retries=0&backoff=0.01")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("host", ["..", "a..b", "a" * 64 + ".com"])
def test_a_host_with_an_impossible_name_is_refused(host):
    with pytest.raises(InputError, match="is no name of a host"):
        read_settings(f"http://{host}/v1#m")


@pytest.mark.parametrize("key", ['"sk-secret1234"', "'sk-secret1234'", "sk-secret1234" * 1000, "sk secret1234"])
def test_a_key_that_cannot_be_one_is_refused_without_it(key):
    with pytest.raises(InputError, match=r"^EVALS_API_KEY ") as caught:
        find_key(read_settings("http://127.0.0.1:9/v1#m"), {"EVALS_API_KEY": key})
    assert "secret1234" not in str(caught.value)
