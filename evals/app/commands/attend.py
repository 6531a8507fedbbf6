"""The command `attend`: draw a heat map of where a vision-language model looked."""

from __future__ import annotations

import argparse
from pathlib import Path

from evals.errors import InputError


def run(options: argparse.Namespace) -> str:
    """Draw the heat map; return what is printed.

    Raises:
        InputError: the image is missing, the model shows no attention, or the file cannot be written.
    """
    if not Path(options.image).is_file():  # before a model is loaded
        raise InputError(f"{options.image} does not exist")
    from evals.execution.resolve import resolve
    from evals.models.attention import VisualAttentionMapper
    from evals.schema import Placement

    placement = Placement(options.device, engine="transformers")  # only the library's model shows its attention
    model = resolve(options.model, scale=options.scale, checkpoint=options.checkpoint).load(placement)
    attention = VisualAttentionMapper.of(model).generate_attention(
        options.image, options.question, layers=options.layers, heads=options.heads, token=options.token
    )
    try:
        attention.draw().save(options.out)
    except (OSError, ValueError) as error:  # no such folder, or a name without the extension of an image format
        raise InputError(f"cannot write {options.out}: {error}") from error
    rows, columns = attention.regions_RC.shape
    token = attention.token.strip()
    row, column = divmod(int(attention.regions_RC.argmax()), columns)
    return (
        f"answer   {attention.answer}\n"
        f"looked   most at row {row + 1}, column {column + 1} of {rows} x {columns}\n"
        f"share    {100 * attention.image_share:.0f} % of the attention of {token!r} is on the image\n"
        f"heat map {options.out}\n"
    )
