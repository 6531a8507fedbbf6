"""The kinds of inputs, and how each is read."""

from __future__ import annotations

import shutil
import time
import wave
from collections.abc import Mapping
from pathlib import Path

from evals.errors import InputError
from tests.soak import data_files, folders
from tests.soak.targets import ROOT, Refused, Target, changed, command, image, refusals

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
    if number == 1:
        time.sleep(100)
    if number == 2:
        bytearray(b"\1" * (1100 << 20))
    if number == 3:
        with refusals():
            raise InputError("two\nlines")
    if number < 6:
        raise Refused


PLANTED = {"planted": Target(_planted, {"planted.json": "json"}, _read_planted)}

TARGETS: Mapping[str, Target] = {
    "claims YAML": Target(_claims, {"b.yaml": "yaml", "gsm8k-verifiers.yaml": "yaml"}, _check),
    "variants and prices YAML": Target(_tables, {"variants.yaml": "yaml", "prices.yaml": "yaml"}, _read_tables),
    **data_files.TARGETS,
    "PNG": Target(_images, {f"{n}.png": "png" for n in range(6)}, _decode_images),
    "JPEG": Target(_images, {f"{n}.jpg": "jpeg" for n in range(3)}, _decode_images),
    "WAV": Target(_audio, {f"{n}.wav": "wav" for n in (1, 2, 4)}, _decode_audio),
    **folders.TARGETS,
}  # fmt: skip
"""All kinds."""
