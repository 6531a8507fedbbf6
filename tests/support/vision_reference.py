"""Compare the vision-language family with the library alone, on prompts of texts and images of different sizes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from evals.execution.batching import plan
from evals.schema import Generate, Image, Model

SIZES = ((40, 30), (30, 61), (64, 64), (33, 90))
"""Width and height of the images."""


def image(number: int) -> Image:
    """Make an image of random pixels; its size depends on its number."""
    import numpy as np

    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Picture.fromarray(pixels).resize(SIZES[number % len(SIZES)]).save(file, "PNG")
    return Image(key=f"image {number}", data=file.getvalue())


def requests(*, without_images: bool = True, several: bool = True) -> list[Generate]:
    """Prompts with one image, with several, with the image last, and without any image."""
    questions = ["What color is the circle?", "How many squares are there in the large image, left or right?"]
    prompts: dict[str, tuple[Any, ...]] = {
        f"one-{number}-{index}": (image(number), "Answer shortly.\n", question)
        for number in range(4)
        for index, question in enumerate(questions)
    }
    if several:
        prompts |= {
            f"two-{number}": (image(number), "before", image(number + 1), "after: yes or no?") for number in range(2)
        }
        prompts |= {"adjacent": (image(2), image(3), "Same?"), "last": ("Look at the image: ", image(1))}
    if without_images:
        prompts |= {"text": ("User: yes or no?",), "long text": ("How many squares are there? 3 " * 3,)}
    return [Generate(name, parts, max_new_tokens=6 + len(name) % 4) for name, parts in prompts.items()]


def outputs(model: Model, asked: Sequence[Generate], budget: int, *, share: bool = True) -> dict[str, str | None]:
    """Answer requests in batches of at most `budget` token positions; returns failures as `failed: …`."""
    prompts = [model.prepare(request) for request in asked]
    answers = {}
    for batch in plan(prompts, budget, share=share):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            answers[prediction.id] = prediction.output if not prediction.failure else f"failed: {prediction.failure}"
    return answers


def library_outputs(folder: Path, asked: Sequence[Generate]) -> dict[str, str]:
    """Answer each request alone, with the library's processor, chat template and `generate`."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    answers = {}
    for request in asked:
        pictures = [
            Picture.open(io.BytesIO(part.data)).convert("RGB") for part in request.parts if isinstance(part, Image)
        ]
        if processor.chat_template is None:
            text = "".join(part if isinstance(part, str) else processor.image_token for part in request.parts)
        else:
            content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in request.parts]
            text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        encoded = processor(text=[text], images=[pictures] if pictures else None, return_tensors="pt")
        encoded.pop("labels", None)
        output = model.generate(**encoded, max_new_tokens=request.max_new_tokens, do_sample=False)
        new = output[0, encoded["input_ids"].shape[1] :]
        answers[request.id] = processor.tokenizer.decode(new, skip_special_tokens=True)
    return answers
