"""Decode an article: UTF-8, and other encodings where a byte order mark, a `meta charset` or zero bytes name them."""

from __future__ import annotations

import codecs
import re

from evals.errors import InputError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; the longer first."""
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{2,40})|^<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w-]{2,40})",
    re.I,
)
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "ascii": "cp1252", "iso8859-1": "cp1252"}
"""What a page that declares the first is read as, as browsers do."""
_READ = frozenset(
    (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5", "big5hkscs", "shift_jis", "cp932", "euc_jp"),
        *("euc_kr", "cp949", "koi8-r", "cp1250", "cp1251", "cp1252", "iso8859-2", "iso8859-15"),
    )
)
_HEAD = 4_096


def decoded(content: bytes, name: str) -> str:
    r"""Return the text of an article that is no PDF; a byte order mark stays, as one code point.

    Args:
        content: the bytes of the file.
        name: its name, for the message.

    Raises:
        InputError: the encoding is neither UTF-8 nor named by the file, or the bytes do not fit it.

    Example:
        >>> decoded('<meta charset="gbk"><p>准确率'.encode("gbk"), "a.html"), decoded("80 %".encode("utf-16"), "a.txt")
        ('<meta charset="gbk"><p>准确率', '\ufeff80 %')
    """
    encoding = _encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        guess = _guess(content) if encoding == "utf-8" else encoding
        problem = "not UTF-8" if encoding == "utf-8" else f"not {encoding}, as it says,"
        raise InputError(
            f"{name}: {problem} at byte {error.start}; convert it: iconv -f {guess} -t UTF-8 {name} > utf8-{name}"
        ) from None


def _encoding(content: bytes) -> str:
    """The encoding that a file names, or shows by zero bytes at every other place; else UTF-8."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    head = content[:_HEAD]
    if head.count(0) * 4 > len(head):  # the zero bytes of Latin letters, digits and spaces
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    if (match := _DECLARED.search(head)) and not _is_utf8(content):
        try:
            declared = codecs.lookup((match[1] or match[2]).decode("ascii")).name
        except LookupError:
            return "utf-8"
        declared = _SUPERSETS.get(declared, declared)
        return declared if declared in _READ else "utf-8"
    return "utf-8"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess(content: bytes) -> str:
    """The encoding to try: GB18030 if the bytes are Chinese characters of it, else that of western Windows."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return "WINDOWS-1252"
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in text)
    is_chinese = chinese > 3 and chinese * 2 > sum(letter > "\x7f" for letter in text)
    return "GB18030" if is_chinese else "WINDOWS-1252"
