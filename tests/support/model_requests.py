"""Send requests to a model in batches, and make images for them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as pillow

from evals.execution.batching import plan


def picture(seed: int, size=(40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def answers(model, asked, budget):
    prompts = [model.prepare(request) for request in asked]
    found = {}
    for batch in plan(prompts, budget):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = prediction
    return found
