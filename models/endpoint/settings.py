"""What a user says of a server: `http://HOST[:PORT]/v1[?OPTION=VALUE&…]#NAME`, and a key in the environment.

    timeout=600       seconds that one request may take
    deadline=86400    seconds that the whole run may take; what is finished by then is kept
    concurrency=64    requests at once at most; how many there are follows from what the server bears
    retries=5         tries after the first, of a request that failed through no fault of its own
    backoff=0.5       seconds before the second try; doubled each time, with jitter
    max_tokens=N      tokens an answer may have instead of the task's: a reasoning model thinks first
    prices=FILE       YAML: what a million tokens cost (`evals.models.endpoint.prices`)
    api-version=…     sent to the server as it is

An address that begins with `#` has `EVALS_ENDPOINT` before it; without `#NAME` the only model that the server lists is
meant. The key is the first of these variables that is set: `EVALS_API_KEY_<HOST>`, the host in capitals with `_` for
all but letters and digits (`EVALS_API_KEY_API_DEEPSEEK_COM`); `EVALS_API_KEY`; and `OPENAI_API_KEY`, which is sent to
api.openai.com, to the host of `OPENAI_BASE_URL` and to this machine only: no other host is meant to see it.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from evals.errors import InputError
from evals.models.endpoint.prices import Prices, read_prices

_PASSED_ON = frozenset({"api-version"})
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A server's address and how to deal with it."""

    server: str
    """The base address, without a slash at its end: `http://127.0.0.1:8000/v1`."""
    model: str | None
    """The model's name at the server, or None for the only one it has."""
    timeout: float = 600.0
    deadline: float = 86_400.0
    concurrency: int = 64
    retries: int = 5
    backoff: float = 0.5
    max_tokens: int | None = None
    prices: Prices | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    """What is sent with every request's address."""

    @property
    def host(self) -> str:
        """The server's host without its port."""
        return urllib.parse.urlsplit(self.server).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine."""
        return bool(_LOOPBACK.fullmatch(self.host))


def read_settings(address: str, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read an address with its options.

    Args:
        address: as the module's docstring says.
        environment: where `EVALS_ENDPOINT` stands.

    Raises:
        InputError: for what is no address, for an unknown option, and for a password in the address; none is repeated.

    Example:
        >>> settings = read_settings("http://127.0.0.1:8000/v1?timeout=5#deepseek-ai/DeepSeek-R1")
        >>> settings.server, settings.model, settings.timeout
        ('http://127.0.0.1:8000/v1', 'deepseek-ai/DeepSeek-R1', 5.0)
        >>> read_settings("http://host/v1?timeuot=5#m")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: option 'timeuot' of endpoint host is unknown: known are api-version, backoff, \
concurrency, deadline, max_tokens, prices, retries, timeout
    """
    base = environment.get("EVALS_ENDPOINT", "")
    if address.startswith("#"):
        if not base:
            raise InputError(f"endpoint {address} has no server: set EVALS_ENDPOINT=http://HOST:PORT/v1")
        address = base.partition("#")[0] + address
    try:
        split = urllib.parse.urlsplit(address)
        host, _ = split.hostname, split.port
    except ValueError as error:
        why = "it holds an @" if "@" in address else error  # what stands before it may be a password
        raise InputError(f"an endpoint's address cannot be read: {why}; expected http://HOST:PORT/v1#NAME") from None
    if split.username is not None or split.password is not None:
        raise InputError(f"the address of endpoint {host} holds a name or password: set the key as EVALS_API_KEY")
    if split.scheme not in {"http", "https"} or not host:
        shown = "…" if split.query or "@" in address.partition("#")[0] else repr(address)
        raise InputError(f"endpoint {shown} is no address: expected http://HOST:PORT/v1#NAME")
    given = urllib.parse.parse_qsl(split.query, keep_blank_values=True)
    known = {each.name for each in fields(Settings)} - {"server", "model", "query"} | _PASSED_ON
    for name, _ in given:
        if name not in known:
            raise InputError(f"option {name!r} of endpoint {host} is unknown: known are {', '.join(sorted(known))}")
    options: dict[str, Any] = {name: _option(name, text) for name, text in given if name not in _PASSED_ON}
    return Settings(
        server=f"{split.scheme}://{split.netloc}{split.path.rstrip('/')}",
        model=urllib.parse.unquote(split.fragment) or None,
        query={name: text for name, text in given if name in _PASSED_ON},
        **options,
    )


def _option(name: str, text: str) -> float | int | Prices:
    """Read one option."""
    if name == "prices":
        return read_prices(text)
    kind, least = {"retries": (int, 0), "concurrency": (int, 1), "max_tokens": (int, 1)}.get(name, (float, 0))
    try:
        value: float | int = kind(text)
    except ValueError:
        raise InputError(f"endpoint option {name}={text}: expected a number") from None
    if not least <= value <= 1e9 or (kind is float and value <= 0):
        raise InputError(f"endpoint option {name}={text}: expected {least} or more" if kind is int
                         else f"endpoint option {name}={text}: expected more than 0")  # fmt: skip
    return value


def find_key(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Find the key for a server. Raises `InputError`, without repeating it, for one that no header can carry.

    Example:
        >>> there = {"OPENAI_API_KEY": "sk-1", "EVALS_API_KEY_API_DEEPSEEK_COM": "sk-2"}
        >>> [find_key(read_settings(f"https://{host}/v1"), there)
        ...  for host in ("api.openai.com", "api.deepseek.com", "example.org")]
        ['sk-1', 'sk-2', None]
    """
    host = settings.host
    names = [f"EVALS_API_KEY_{re.sub('[^A-Z0-9]', '_', host.upper())}", "EVALS_API_KEY"]
    openai = urllib.parse.urlsplit(environment.get("OPENAI_BASE_URL", "")).hostname
    if settings.loopback or host in {"api.openai.com", openai}:
        names.append("OPENAI_API_KEY")
    for name in names:
        key = environment.get(name, "").strip()
        if key:
            if not re.fullmatch(r"[!-~]+", key):
                raise InputError(f"{name} holds blanks or characters that no key has")
            return key
    return None
