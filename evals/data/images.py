"""Pictures by reference to pixels, when a model or a page needs them.

Whatever is wrong with a picture is a `SampleError` of the one sample that shows it.

    decode       a model's view of it: 8-bit RGB
    thumbnail    a page's view of it: a small PNG
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from evals.errors import SampleError, one_line
from evals.schema import Image, Sample

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 50_000_000
"""Pixels that a picture may have: more than any benchmark's or phone's, 150 MB once decoded."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""What is decoded. Not all that Pillow knows: some of its formats (EPS) start other programs."""
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Pixel layouts that have a plain way to RGB; the rest (16 bit, float, Lab) would change without a word."""
_GREY = (128, 128, 128)
_THUMBNAIL = (320, 320)


def decode(image: Image) -> Picture:
    """Decode a picture to 8-bit RGB.

    Grey, palette and CMYK pictures are converted; transparency is dropped, not blended. The pixels are taken as they
    are stored: an EXIF orientation is not applied, as the tools of COCO and VQA do not apply it. Of an animation the
    first frame counts. A blind picture must still say its size: it comes back flat mid-grey.

    Raises:
        SampleError: missing, no picture, damaged, of more than `MAX_PIXELS` pixels (found before they are decoded), or
            of a pixel layout that has no exact way to RGB; names the file, or the key of a picture inside a table.
    """
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    name = image.path or f"image {image.key}"
    source = io.BytesIO(image.data) if image.data is not None else image.path
    if source is None:
        raise SampleError(f"{name} has neither a file nor bytes")
    try:
        with pillow.open(source, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                size = f"{picture.width} x {picture.height}"
                raise SampleError(f"{name} has {size} pixels, at most {MAX_PIXELS:,} are decoded")
            return pillow.new("RGB", picture.size, _GREY) if image.blind else _rgb(picture, name)
    except SampleError:
        raise
    except FileNotFoundError as error:
        raise SampleError(f"{name} does not exist") from error
    except UnidentifiedImageError as error:
        raise SampleError(f"{name} is not a picture ({', '.join(FORMATS)})") from error
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise SampleError(f"{name} has too many pixels, at most {MAX_PIXELS:,} are decoded") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        raise SampleError(f"{name} cannot be decoded: {one_line(error)}") from error


def _rgb(picture: Picture, name: object) -> Picture:
    if picture.mode not in _MODES:
        raise SampleError(f"{name} has pixels of kind {picture.mode!r}, expected 8 bits a channel")
    if "transparency" in picture.info:
        picture = picture.convert("RGBA")  # else Pillow warns and maps the transparent colour
    return picture.convert("RGB")


def thumbnail(sample: Sample) -> bytes | None:
    """Make a small PNG of the first picture that a sample shows, at most 320 pixels wide or high, never enlarged.

    Returns:
        The PNG, or None where the sample shows no picture or the picture cannot be decoded.
    """
    images = (part for request in sample.requests for part in request.parts if isinstance(part, Image))
    try:
        picture = decode(next(images))
    except (StopIteration, SampleError):
        return None
    picture.thumbnail(_THUMBNAIL)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
