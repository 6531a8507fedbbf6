"""The forms in which a server may repeat a key: for the tests of endpoints and the soak."""

from __future__ import annotations

import base64
import codecs
import html
import json
import re
import urllib.parse


def key_forms(key: str) -> dict[str, str]:
    """Return a key in every form by the form's name."""
    return {
        "plain": key,
        "with escaped slashes": key.replace("/", "\\/"),
        "escaped": "".join(f"\\u{ord(character):04x}" for character in key),
        "partly escaped": key.replace("s", "\\u0073"),
        "percent-encoded": urllib.parse.quote(key, safe=""),
        "percent-encoded twice": urllib.parse.quote(urllib.parse.quote(key, safe=""), safe=""),
        "HTML": html.escape(key).replace("/", "&#x2F;"),
        "base64": base64.b64encode(key.encode()).decode(),
        "base64 of the header": base64.urlsafe_b64encode(b"Bearer " + key.encode()).decode(),
        "hexadecimal": key.encode().hex(),
        "hexadecimal numbers": ", ".join(f"0x{byte:02X}" for byte in key.encode()),
        "decimal numbers": str(list(key.encode())),
        "octal escapes": "".join(f"\\{byte:03o}" for byte in key.encode()),
        "CSS escapes": "".join(f"\\{byte:06x}" for byte in key.encode()),
        "Rust escapes": "".join(f"\\u{{{byte:x}}}" for byte in key.encode()),
        "code points": "".join(f"U+{byte:04X} " for byte in key.encode()).strip(),
        "named HTML characters": key.replace("/", "&sol;").replace("+", "&plus;").replace("=", "&equals;"),
        "HTML of HTML": html.escape("".join(f"&#{byte};" for byte in key.encode())),
        "quoted-printable": key.replace("=", "=3D").replace("key", "k=\r\ney"),
        "JSON in JSON in JSON": json.dumps(json.dumps(json.dumps(key.replace("/", "\\/")))),
        "wrapped": key.replace("secret", "sec\n  ret"),
        "with zero-width spaces": "\u200b".join(key),
        "UTF-16 read as UTF-8": "\x00".join(key),
        "in capital letters": key.upper(),
        "base64 of UTF-16": base64.b64encode(key.encode("utf-16-le")).decode(),
        "base64 of base64": base64.b64encode(base64.b64encode(key.encode())).decode(),
        "base64 in lines": "\n".join(re.findall(".{1,10}", base64.b64encode(key.encode()).decode())),
        "base64 in lines, in JSON": "\\r\\n".join(re.findall(".{1,10}", base64.b64encode(key.encode()).decode())),
        "base32": base64.b32encode(b"Bearer " + key.encode()).decode(),
        "between dashes": "-".join(key),
        "a list of its characters": str(list(key)),
        "between HTML tags": "".join(f"<b>{html.escape(character)}</b>" for character in key),
        "full width": key.translate({code: code + 0xFEE0 for code in range(33, 127)}),
        "with accents": "".join(f"{character}\u0301" for character in key),
        "tag characters": "".join(chr(0xE0000 + ord(character)) for character in key),
        "backwards": key[::-1],
        "moved by 13 letters": codecs.encode(key, "rot13"),
    }
