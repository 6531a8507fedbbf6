"""Settings of a server: `http://HOST[:PORT]/v1[?OPTION=VALUE&…]#NAME`, and a key from the environment.

    timeout=600       time limit of one request in seconds
    deadline=86400    time limit of the whole run in seconds; what is finished by then is kept
    concurrency=64    maximum number of concurrent requests; the actual number adapts to the server
    retries=5         number of retries of a request that failed for a temporary reason
    backoff=0.5       seconds before the first retry; doubled for each further retry, with jitter
    max_tokens=N      maximum number of new tokens, instead of the task's; for reasoning models
    prices=FILE       YAML file with the price of a million tokens (`evals.models.endpoint.prices`)
    api-version=…     passed on to the server

Several servers of one model are written `URL1|URL2#NAME`; the options of the first hold for those without any.

If the address begins with `#`, `EVALS_ENDPOINT` is put before it. Without `#NAME`, the only model that the server lists
is used. The key is the first of these variables that is set: `EVALS_API_KEY_<HOST>`, with the host in capitals and `_`
for all characters except letters and digits (`EVALS_API_KEY_API_DEEPSEEK_COM`); `EVALS_API_KEY`; and `OPENAI_API_KEY`,
which is only sent to api.openai.com, to the host of `OPENAI_BASE_URL` and to this machine.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from evals.errors import InputError, one_line, shorten
from evals.models.endpoint.prices import Prices, read_prices
from evals.plain_numbers import real, whole

_MAX_KEY = 8_192
"""Limit on the characters of a key; servers accept no longer header."""
_PASSED_ON = frozenset({"api-version"})
_WHOLE_OPTIONS = {"retries": (whole, 0), "concurrency": (whole, 1), "max_tokens": (whole, 1)}
"""Options that are whole numbers, with the least value of each."""
_PATHS = ("/chat/completions", "/completions", "/embeddings", "/models")
"""Paths of requests, which other tools want as a part of the address."""
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]+){3}|::1")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A server's address and options."""

    server: str
    """The base address without a trailing slash: `http://127.0.0.1:8000/v1`."""
    model: str | None
    """The model's name on the server, or None for its only model."""
    timeout: float = 600.0
    deadline: float = 86_400.0
    concurrency: int = 64
    retries: int = 5
    backoff: float = 0.5
    max_tokens: int | None = None
    prices: Prices | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    """Query parameters of every request."""

    @property
    def host(self) -> str:
        """The server's host without its port."""
        return urllib.parse.urlsplit(self.server).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine."""
        return bool(_LOOPBACK.fullmatch(self.host))


def read_settings(address: str, environment: Mapping[str, str] = os.environ) -> Settings:
    """Parse an address with its options.

    Args:
        address: an address as in the docstring of this module.
        environment: the environment variables.

    Raises:
        InputError: the address is invalid, has an unknown option, or contains a password; the password is not repeated.

    Example:
        >>> settings = read_settings("http://127.0.0.1:8000/v1?timeout=5#deepseek-ai/DeepSeek-R1")
        >>> settings.server, settings.model, settings.timeout
        ('http://127.0.0.1:8000/v1', 'deepseek-ai/DeepSeek-R1', 5.0)
        >>> read_settings("http://host/v1?timeuot=5#m")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: option 'timeuot' of endpoint host is unknown; allowed: api-version, backoff, \
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
        why = "it holds an @" if "@" in address else error  # the text before it may be a password
        raise InputError(f"an endpoint's address cannot be read: {why}; expected http://HOST:PORT/v1#NAME") from None
    if split.username is not None or split.password is not None:
        raise InputError(f"the address of endpoint {host} holds a name or password: set the key as EVALS_API_KEY")
    if split.scheme not in {"http", "https"} or not host:
        printable = "…" if split.query or "@" in address.partition("#")[0] else repr(address)
        raise InputError(f"endpoint {printable} is not an address: expected http://HOST:PORT/v1#NAME")
    try:
        host.encode("idna")
    except UnicodeError:
        raise InputError(
            f"endpoint host {shorten(host, 60)} is no name of a host: a part of it is empty or too long"
        ) from None
    path = split.path.rstrip("/")
    if (request_path := next(filter(path.endswith, _PATHS), None)) is not None:
        raise InputError(
            f"the address of endpoint {host} ends in {request_path}, which is added for each request: leave it out"
        )
    pairs = urllib.parse.parse_qsl(split.query, keep_blank_values=True)
    allowed = {field.name for field in fields(Settings)} - {"server", "model", "query"} | _PASSED_ON
    for name, _ in pairs:
        if name not in allowed:
            raise InputError(f"option {name!r} of endpoint {host} is unknown; allowed: {', '.join(sorted(allowed))}")
    options: dict[str, Any] = {name: _option(name, text) for name, text in pairs if name not in _PASSED_ON}
    return Settings(
        server=f"{split.scheme}://{split.netloc}{path}",
        model=urllib.parse.unquote(split.fragment) or None,
        query={name: text for name, text in pairs if name in _PASSED_ON},
        **options,
    )


def read_servers(address: str, environment: Mapping[str, str] = os.environ) -> list[Settings]:
    """Parse the addresses of one or several servers of a model.

    Args:
        address: `URL#NAME`, or `URL1|URL2#NAME`; the options of the first hold for those without any.
        environment: the environment variables.

    Raises:
        InputError: as `read_settings`; or two addresses are the same, or differ in what the answers depend on.

    Example:
        >>> [(server.server, server.timeout) for server in read_servers("http://a/v1?timeout=5|http://b/v1#m")]
        [('http://a/v1', 5.0), ('http://b/v1', 5.0)]
    """
    if address.startswith("#"):
        address = environment.get("EVALS_ENDPOINT", "").partition("#")[0] + address
    base, _, name = address.partition("#")
    first, *others = base.split("|")
    options = f"?{first.partition('?')[2]}" if "?" in first else ""
    urls = [first, *(url if "?" in url else url + options for url in others)]
    servers = [read_settings(f"{url}#{name}", environment) for url in urls]
    addresses = [server.server for server in servers]
    for server in servers:
        if addresses.count(server.server) > 1:
            raise InputError(f"endpoint {server.server} is named twice")
        for option in ("max_tokens", "prices", "query"):
            if getattr(server, option) != getattr(servers[0], option):
                raise InputError(
                    f"endpoints {servers[0].server} and {server.server} have different values of "
                    f"{'api-version' if option == 'query' else option}: all servers of a run answer alike"
                )
    return servers


def _option(name: str, text: str) -> float | int | Prices:
    """Parse one option."""
    if name == "prices":
        return read_prices(text)
    kind, minimum = _WHOLE_OPTIONS.get(name, (real, 0))
    try:
        value: float | int = kind(text)
    except ValueError:
        raise InputError(f"endpoint option {name}={text}: expected a number") from None
    if not minimum <= value <= 1e9 or (kind is real and value <= 0):
        raise InputError(f"endpoint option {name}={text}: expected {minimum} or more" if kind is whole
                         else f"endpoint option {name}={text}: expected more than 0")  # fmt: skip
    return value


def find_key(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Find the key for a server. Raises `InputError`, without the key, if it contains characters that no key has.

    Example:
        >>> environment = {"OPENAI_API_KEY": "sk-1", "EVALS_API_KEY_API_DEEPSEEK_COM": "sk-2"}
        >>> [find_key(read_settings(f"https://{host}/v1"), environment)
        ...  for host in ("api.openai.com", "api.deepseek.com", "example.org")]
        ['sk-1', 'sk-2', None]
    """
    host = settings.host
    names = [f"EVALS_API_KEY_{re.sub('[^A-Z0-9]', '_', host.upper())}", "EVALS_API_KEY"]
    try:
        openai = urllib.parse.urlsplit(environment.get("OPENAI_BASE_URL", "")).hostname
    except ValueError as error:
        raise InputError(f"OPENAI_BASE_URL is no address: {one_line(error)}") from None
    if settings.loopback or host in {"api.openai.com", openai}:
        names.append("OPENAI_API_KEY")
    for name in names:
        key = environment.get(name, "").strip()
        if key:
            if not re.fullmatch(r"[!-~]+", key):
                raise InputError(f"{name} holds blanks or characters that no key has")
            if key[0] == key[-1] and key[0] in "\"'`":
                raise InputError(
                    f"{name} begins and ends with a quotation mark, which is no part of a key: leave them out"
                )
            if len(key) > _MAX_KEY:
                raise InputError(f"{name} has {len(key):,} characters; a key has at most {_MAX_KEY:,}")
            return key
    return None
