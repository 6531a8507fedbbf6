"""Decode images on demand, when a model or a report page needs them.

An error in an image is a `SampleError` of the sample that refers to it.

    decode       decode an image to 8-bit RGB, for a model
    thumbnail    make a small PNG, for a report page
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from evals import regular_files
from evals.errors import SampleError, one_line
from evals.schema import Image, Sample

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

MAX_PIXELS = 50_000_000
"""Maximum number of pixels: more than in any benchmark or phone camera; 150 MB once decoded."""
MAX_BYTES = 4 * MAX_PIXELS + (1 << 20)
"""Largest file that is read: `MAX_PIXELS` of four bytes each, and metadata."""
MAX_WORK = 2_000_000_000
"""Limit on pixels times scans of a JPEG, which refines all its pixels in each scan: encoders write about 10 scans."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that are decoded. Other formats of Pillow are excluded, since some of them (EPS) start other programs."""
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Pixel modes that convert exactly to RGB; others (16 bit, float, Lab) would change silently."""
_GREY = (128, 128, 128)
_THUMBNAIL = (320, 320)


warnings.filterwarnings("ignore", message="Image size .* exceeds limit", module="PIL")
"""Not printed, because `decode` has a limit of its own."""


def decode(image: Image) -> PilImage:
    """Decode an image to 8-bit RGB.

    Grey, palette and CMYK images are converted; transparency is dropped, not blended. An EXIF orientation is not
    applied, as in the tools of COCO and VQA. Of an animation, the first frame is used. For a blind sample
    (`image.blind`) the result is a mid-grey image of the same size.

    Raises:
        SampleError: the image is missing, damaged, of an unsupported format, larger than `MAX_BYTES`, has more than
            `MAX_PIXELS` pixels or repeats its scans beyond `MAX_WORK` (both checked before decoding), or has a pixel
            mode without an exact conversion to RGB. The message names the file, or the key of an image that is stored
            in a table.
    """
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    name = image.path or f"image {image.key}"
    source = io.BytesIO(image.data) if image.data is not None else image.path
    if source is None:
        raise SampleError(f"{name} has neither a file nor bytes")
    try:
        if image.data is None and image.path is not None and image.path.exists() and not image.path.is_file():
            raise SampleError(f"{name} is not a file")  # a pipe would never end
        if image.path is not None and image.data is None and (count := image.path.stat().st_size) > MAX_BYTES:
            raise SampleError(f"{name} has {count:,} bytes, at most {MAX_BYTES:,} are read")
        with pillow.open(source, formats=FORMATS) as decoded:
            if decoded.width * decoded.height > MAX_PIXELS:
                size = f"{decoded.width} x {decoded.height}"
                raise SampleError(f"{name} has {size} pixels, at most {MAX_PIXELS:,} are decoded")
            if image.blind:
                return pillow.new("RGB", decoded.size, _GREY)
            _check_scans(decoded, image, name)
            return _rgb(decoded, name)
    except SampleError:
        raise
    except FileNotFoundError as error:
        raise SampleError(f"{name} does not exist") from error
    except UnidentifiedImageError as error:
        raise SampleError(f"{name} is not an image ({', '.join(FORMATS)})") from error
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise SampleError(f"{name} has too many pixels, at most {MAX_PIXELS:,} are decoded") from error
    except Exception as error:  # Pillow's decoders raise many types of exceptions for damaged files
        raise SampleError(f"{name} cannot be decoded: {one_line(error)}") from error


def _check_scans(decoded: PilImage, image: Image, name: object) -> None:
    """Raise `SampleError` for a JPEG that repeats its scans for minutes of work."""
    if decoded.format == "JPEG":
        data = image.data if image.data is not None else regular_files.read(image.path or Path(), limit=MAX_BYTES)
        scans = data.count(b"\xff\xda")  # the marker of a scan; within one, a zero follows each 255
        if decoded.width * decoded.height * scans > MAX_WORK:
            size = f"{decoded.width} x {decoded.height}"
            raise SampleError(f"{name} has {scans:,} scans of {size} pixels; at most {MAX_WORK:,} pixels are refined")


def _rgb(decoded: PilImage, name: object) -> PilImage:
    if decoded.mode not in _MODES:
        raise SampleError(f"{name} has the pixel mode {decoded.mode!r}, expected 8 bits per channel")
    if "transparency" in decoded.info:
        decoded = decoded.convert("RGBA")  # otherwise Pillow warns and replaces the transparent colour
    return decoded.convert("RGB")


def thumbnail(sample: Sample) -> bytes | None:
    """Make a PNG of the first image of a sample, at most 320 pixels wide and high, never enlarged.

    Returns:
        The PNG, or None if the sample has no image or the image cannot be decoded.
    """
    images = (part for request in sample.requests for part in request.parts if isinstance(part, Image))
    try:
        decoded = decode(next(images))
    except (StopIteration, SampleError):
        return None
    decoded.thumbnail(_THUMBNAIL)
    file = io.BytesIO()
    decoded.save(file, "PNG", optimize=True)
    return file.getvalue()
