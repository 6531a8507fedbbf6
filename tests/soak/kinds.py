"""The kinds of inputs, and how each is read."""

from __future__ import annotations

import functools
import json
import shutil
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.errors import InputError
from evals.records.answers import AnswerLog
from evals.schema import Generate, Prediction
from tests.soak import data_files, folders
from tests.soak.targets import ROOT, Fault, Refused, Target, changed, command, image, refusals

# Claims, variants, prices


def _claims(folder: Path) -> None:
    for name in ("b", "gsm8k-verifiers"):
        shutil.copy(ROOT / "reports" / "claims" / f"{name}.yaml", folder / f"{name}.yaml")


def _check(folder: Path) -> None:
    for path in changed(folder, "*.yaml"):
        command("check", path, "--paper", "--out", folder / "claims")


def _tables(folder: Path) -> None:
    shutil.copy(ROOT / "models" / "variants.yaml", folder / "variants.yaml")
    (folder / "prices.yaml").write_text(
        "currency: USD\nmodels:\n  m: {input: 0.28, cached_input: 0.028, output: 0.42}\n"
    )


def _read_tables(folder: Path) -> None:
    from evals.models import variants
    from evals.models.endpoint import prices

    with refusals():
        variants.read(folder / "variants.yaml")
        prices.read_prices(str(folder / "prices.yaml"))


# What a server sends, and the answers that a run keeps


_BODIES = ("chat", "parts", "completion", "echo", "listed", "embedding", "models", "error")


def _answers(folder: Path) -> None:
    message = {"role": "assistant", "content": "yes <think>no</think> 7", "reasoning_content": "so 7"}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    logprobs = {"tokens": ["a", " b", " c"], "token_logprobs": [None, -0.5, -1.5]}
    listed = [None, {"17": {"logprob": -0.5}}]
    bodies = {
        "chat": {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage, "model": "m"},
        "parts": {"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}]}}]},
        "completion": {"choices": [{"index": 0, "finish_reason": "length", "text": "yes"}], "usage": usage},
        "echo": {"choices": [{"index": 0, "text": "a b", "logprobs": logprobs}], "usage": usage},
        "listed": {"choices": [{"index": 0, "text": "a b", "prompt_logprobs": listed}], "usage": usage},
        "embedding": {"data": [{"embedding": [0.5, -1.5, 2], "index": 0}], "usage": usage},
        "models": {"data": [{"id": "m", "max_model_len": 4096}, {"id": "n", "meta": {"n_ctx": 512}}]},
        "error": {"error": {"message": "maximum context length is 120 tokens, you requested 216", "code": 400}},
    }
    for name, body in bodies.items():
        (folder / f"{name}.json").write_text(json.dumps(body))


def _read_answers(folder: Path) -> None:
    """Read a body as the client does, with every reader of answers; it counts as read if its own reader accepts it."""
    from evals.models.endpoint import long_prompts, responses

    server = _client()
    readers = {
        "chat": responses.read_chat, "completion": responses.read_completion, "embedding": responses.read_embedding,
        "echo": lambda body: responses.read_prompt_logprobs(body, ["a b"]),
        "models": lambda body: long_prompts.stated_limit(body, "m"), "error": responses.read_usage,
    }  # fmt: skip
    invalid: Exception | None = None
    for path in changed(folder, "*.json"):
        content = path.read_bytes()
        message = server._message(content)
        long_prompts.read_rejection(message, 16)
        if len(message.splitlines()) != 1 or len(message) > 300:
            raise Fault(f"a message of several lines, or too long: {message[:500]!r}")
        for name, reader in readers.items():
            try:
                reader(server._mask.value(responses.decoded(content)))
            except responses.MalformedError as error:
                if {"parts": "chat", "listed": "echo"}.get(path.stem, path.stem) == name != "error":
                    invalid = error
    if invalid is not None:
        raise Refused(str(invalid))


@functools.cache
def _client() -> Any:
    from evals.models.endpoint.client import Server
    from evals.models.endpoint.settings import read_settings

    return Server(read_settings("http://127.0.0.1:9/v1#m"), "sk-soak-secret")


def _kept(folder: Path) -> None:
    log = AnswerLog(folder)
    for number in range(5):
        log.add(_request(number), _answer(number))
    log.close()


def _request(number: int) -> Generate:
    return Generate(str(number), ("a",), 8)


def _answer(number: int) -> Prediction:
    return Prediction(str(number), "é\n", scores=(0.5,) * number, tokens=(1,), charges={"x": 0.5})


def _read_kept(folder: Path) -> None:
    """Find the answers that were kept: a damaged one is asked again, and never another than was written."""
    log = AnswerLog(folder)
    missing = 0
    for number in range(5):
        prediction = log.find(_request(number))
        missing += prediction is None
        if prediction is not None and prediction != _answer(number):
            raise Fault(f"request {number} has the answer {prediction!r}"[:500])
    log.add(_request(9), Prediction("9", "nine"))
    log.close()
    again = AnswerLog(folder)
    if (again.find(_request(9)) or Prediction("", None)).output != "nine":
        raise Fault("an answer that was kept after the damage is lost")
    again.close()
    if missing:
        raise Refused(f"{missing} answers are asked again")


# Images and audio


def _images(folder: Path) -> None:
    for number, mode in enumerate(("RGB", "L", "P", "RGBA", "1", "LA")):
        image(folder / f"{number}.png", "PNG", mode)
    for number, mode in enumerate(("RGB", "L", "CMYK")):
        image(folder / f"{number}.jpg", "JPEG", mode)


def _decode_images(folder: Path) -> None:
    from evals.data import images
    from evals.schema import Generate, Image, Sample

    for path in [*changed(folder, "*.png"), *changed(folder, "*.jpg")]:
        shown = Image(path.name, path=path)
        images.thumbnail(Sample("a", (Generate("a", (shown,), 1),), target=None))
        with refusals():
            images.decode(shown)


def _audio(folder: Path) -> None:
    for width, channels in ((1, 1), (2, 2), (4, 1)):
        with wave.open(str(folder / f"{width}.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(16_000)
            file.writeframes(bytes(range(240)) * 10)


def _decode_audio(folder: Path) -> None:
    from evals.data import audio
    from evals.schema import Audio

    with refusals():
        for path in changed(folder, "*.wav"):
            audio.resample(audio.decode(Audio(path.name, path=path)), 16_000)


# A kind on which the soak itself is tested


def _planted(folder: Path) -> None:
    (folder / "planted.json").write_text('{"a": [1, 2, 3]}')


def _read_planted(folder: Path) -> None:
    content = (folder / "planted.json").read_bytes()
    if content == b'{"a": [1, 2, 3]}':
        return
    number = sum(content) % 8
    if number == 0:
        raise KeyError("planted")
    if number == 5:
        while True:
            pass
    if number == 2:
        bytearray(b"\1" * (1100 << 20))
    if number == 3:
        with refusals():
            raise InputError("two\nlines")
    if number in {4, 6}:
        raise Refused


PLANTED = {"planted": Target(_planted, {"planted.json": "json"}, _read_planted)}

TARGETS: Mapping[str, Target] = {
    "claims YAML": Target(_claims, {"b.yaml": "yaml", "gsm8k-verifiers.yaml": "yaml"}, _check),
    "variants and prices YAML": Target(_tables, {"variants.yaml": "yaml", "prices.yaml": "yaml"}, _read_tables),
    **data_files.TARGETS,
    "server answers": Target(
        _answers,
        dict.fromkeys((f"{name}.json" for name in _BODIES), "json"),
        _read_answers,
    ),
    "kept answers": Target(_kept, {".answers-0.log": "jsonl"}, _read_kept),
    "PNG": Target(_images, {f"{n}.png": "png" for n in range(6)}, _decode_images),
    "JPEG": Target(_images, {f"{n}.jpg": "jpeg" for n in range(3)}, _decode_images),
    "WAV": Target(_audio, {f"{n}.wav": "wav" for n in (1, 2, 4)}, _decode_audio),
    **folders.TARGETS,
}  # fmt: skip
"""All kinds."""
