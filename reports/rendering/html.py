"""Fill the templates of pages: self-contained, without scripts, every text escaped.

Every page is made by `fill`. Its content security policy allows only the page's own style sheets, by their hash; every
text is made visible and escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from evals.reports.rendering import forest, svg
from evals.reports.rendering.formatting import amount, interval, metric_value, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 200_000
"""Maximum number of characters of a prompt on a page."""


def fill(template: str, sheets: Sequence[str], **variables: Any) -> str:
    """Fill a template that extends `base.html`.

    Args:
        template: its file name.
        sheets: file names of the style sheets, the only ones that the page allows.
        variables: the variables of the template.
    """
    css = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in sheets)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    sheet = Markup(css)  # ours, and checked by its hash
    return _environment().get_template(template).render(css=sheet, css_hash=digest, **variables)


@cache
def _environment() -> Environment:
    """Return the template engine of all pages, which makes every text visible, escapes it and refuses unknown names."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    engine = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    engine.globals |= {"amount": amount, "interval": interval, "metric_value": metric_value, "visible": visible}
    engine.globals |= {"whole": _whole}
    engine.globals |= {"strip": svg.strip, "axis": svg.axis, "png_address": _png_address, "draw_forest": forest.draw}
    return engine


def _png_address(png: bytes) -> Markup:
    """Return an image as a `data:` address, so that the page contains it."""
    return Markup(f"data:image/png;base64,{base64.b64encode(png).decode()}")


def _whole(text: str) -> Markup:
    """Make a text visible and escape it without cutting it, unless it is as long as a book."""
    return escape(visible(text, _LONGEST))


def _finalize(value: object) -> object:
    """Make every text visible before it is escaped, except markup that this package made itself."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
