"""URLs of Redis as a feature store.

    redis[s]://[user[:password]@]host[:6379][/database]
    redis[s]+sentinel://[user[:password]@]host[:26379],host…/service[/database]
    redis[s]+cluster://[user[:password]@]host[:6379],host…

`rediss` is TLS. Options behind `?`: `ca`, `certificate` and `key` (PEM files), `password_file`, `timeout`
(seconds of a command) and `connections`. Other processes of a machine see what a process was started with, so
a password is better kept in a file. A `/`, `@` or `:` of a user or password is written as `%2F` and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from croupier.settings import InvalidSettings

_PORTS = {"": 6379, "sentinel": 26379, "cluster": 6379}
_OPTIONS = {"ca", "certificate", "key", "password_file", "timeout", "connections"}
_TLS_OPTIONS = {"ca", "certificate", "key"}


@dataclass(frozen=True, slots=True, repr=False)
class RedisPlace:
    """Where a Redis is and how to speak to it; it prints without the password."""

    kind: str  # "", "sentinel" or "cluster"
    hosts: tuple[tuple[str, int], ...]
    service: str
    database: int
    user: str
    password: str
    tls: bool
    ca: str | None
    certificate: str | None
    key: str | None
    timeout: float
    connections: int

    def __repr__(self) -> str:
        return f"RedisPlace({self})"

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        behind = f"/{self.service}" if self.service else ""
        return f"{scheme}{'+' if self.kind else ''}{self.kind}://{hosts}{behind}/{self.database}"


def parse(url: str) -> RedisPlace:
    """What `url` says.

    Raises:
        InvalidSettings: it makes no sense, or names a file that cannot be read. It has no password in it.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss") or kind not in _PORTS or parts.fragment:
        raise InvalidSettings(f"{parts.scheme}: is no Redis: write redis:// or rediss://host:port")
    options = _options(parts, tls=scheme == "rediss")
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    if "password_file" in options:
        if password:
            raise InvalidSettings("a password_file and a password in the URL are two passwords")
        password = _read(options["password_file"])
    else:
        password = unquote(password)
    hosts = tuple(_host(place, _PORTS[kind]) for place in places.split(","))
    if kind == "" and len(hosts) != 1:
        raise InvalidSettings("several hosts are redis+cluster:// or redis+sentinel://")
    service, database = _path(parts, kind)
    return RedisPlace(
        kind=kind,
        hosts=hosts,
        service=service,
        database=database,
        user=unquote(user),
        password=password,
        tls=scheme == "rediss",
        ca=options.get("ca"),
        certificate=options.get("certificate"),
        key=options.get("key"),
        timeout=_number(options, "timeout", 1.0, least=0.001),
        connections=int(_number(options, "connections", 8, least=1)),
    )


def _options(parts: SplitResult, *, tls: bool) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if options.keys() - _OPTIONS:
        # Which, may be the rest of a password with a question mark.
        raise InvalidSettings(f"the feature store's URL has options that are none of {sorted(_OPTIONS)}")
    if (found := options.keys() & _TLS_OPTIONS) and not tls:
        raise InvalidSettings(f"{min(found)} is of TLS: write rediss://")
    if ("certificate" in options) != ("key" in options):
        raise InvalidSettings("certificate and key of a feature store's URL go together")
    for name in _TLS_OPTIONS & options.keys():
        _read(options[name])
    return options


def _path(parts: SplitResult, kind: str) -> tuple[str, int]:
    words = [unquote(word) for word in parts.path.split("/") if word]
    service = words.pop(0) if kind == "sentinel" and words else ""
    if kind == "sentinel" and not service:
        raise InvalidSettings("Sentinel is asked for a service: redis+sentinel://host:port/service")
    if len(words) > 1 or (words and not words[0].isdecimal()) or (words and kind == "cluster"):
        # Not what there is instead: it may be the rest of a password with a slash.
        raise InvalidSettings("a database is a number behind one slash, and a cluster has only one: 0")
    return service, int(words[0]) if words else 0


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{place}")
        if not found.hostname:
            raise ValueError
        return found.hostname, found.port or port
    except ValueError:
        raise InvalidSettings("the feature store's URL has a place that is no host:port") from None


def _number(options: dict[str, Any], name: str, default: float, *, least: float) -> float:
    try:
        value = float(options.get(name, default))
    except ValueError:
        value = -1.0
    if not least <= value <= 1000:
        raise InvalidSettings(f"{name} of the feature store's URL is a number from {least:g} to 1000")
    return value


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path} of the feature store's URL cannot be read: {error}") from error
