"""Turn an SVG drawing into a PNG image, by resvg (the extra `png`)."""

from __future__ import annotations

import io

from PIL import Image

from evals.errors import InputError

_ZOOM = 3
"""Pixels of the image per pixel of the drawing: 300 dots per inch where the drawing has 100."""
_FAMILIES = ("Arial", "DejaVu Sans", "Liberation Sans", "Noto Sans", "Helvetica", "Segoe UI", "Roboto", "Open Sans")
"""What a machine may have for the generic `sans-serif`, which resvg takes for the first of them alone."""
_LETTER = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" font-family="{}"><text y="15">M</text></svg>'


def png(drawing: str, font: str) -> bytes:
    """Draw an SVG drawing on white, as a PNG file.

    Args:
        drawing: one `<svg>` element.
        font: the font family of its texts.

    Returns:
        The contents of the file, with three pixels for each of the drawing.

    Raises:
        InputError: resvg is not installed, or finds no font: the texts would be missing.

    Example:
        >>> line = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><path d="M0 0H4"/></svg>'
        >>> Image.open(io.BytesIO(png(line, "sans-serif"))).size  # doctest: +SKIP
        (12, 6)
    """
    try:
        import resvg_py
    except ImportError:
        raise InputError("--format png needs the package resvg-py: pip install -e '.[png]'; svg needs none") from None
    family = next((family for family in _FAMILIES if _draws(font, family)), None)
    if family is None:
        raise InputError("--format png finds no font on this machine for the texts of the plot; svg needs none")
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing, background="#ffffff", zoom=_ZOOM, sans_serif_family=family))


def _draws(font: str, family: str) -> bool:
    """Whether a letter of a font is visible where the generic `sans-serif` stands for a family."""
    import resvg_py

    letter = resvg_py.svg_to_bytes(svg_string=_LETTER.format(font), sans_serif_family=family)
    return Image.open(io.BytesIO(letter)).getbbox() is not None
