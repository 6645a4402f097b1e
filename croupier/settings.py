"""Settings of a process: a frozen dataclass, filled from flags, then the environment, then defaults.

Each field declared with `option` becomes a flag (`--hand-size 4`) and an environment variable
(`CROUPIER_ROUTER_HAND_SIZE=4`); the flag wins. This is the only module that reads the environment. A variable
that looks like one of ours and is none is named at the start: a misspelt one would otherwise change nothing.

Secure by default: `ServerSettings` binds loopback, and refuses any wider address unless there are
TLS and a way to know the caller, or someone says `--insecure`, or `--insecure-metrics` for the metrics' one.
"""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import logging
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from croupier.errors import CroupierError
from croupier.roles import DEFAULT_PATTERNS, RoleNames

_log = logging.getLogger(__name__)

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}

_PROGRAMS = ("croupier-cell", "croupier-logger", "croupier-router", "croupier-version-manager")
_HOME = "CROUPIER_HOME"
# What Kubernetes sets in every pod for a service that is named as a program of ours is.
_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT(_\d+_[A-Z]+(_ADDR|_PORT|_PROTO)?)?)$")


class InvalidSettings(CroupierError):
    """A setting that cannot be used. The operator's."""

    reason = "INVALID_SETTINGS"


def option(default: Any, help: str, choices: tuple[str, ...] | None = None) -> Any:
    """A dataclass field that is a flag; its type comes from the annotation."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of a server; with `client_ca`, callers must show a certificate signed by it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM files for calling a server; `certificate` and `key` are shown where it asks for them."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """What every process can be told that runs for long."""

    metrics_listen: str = option(
        "127.0.0.1:0", "host:port of the admin port: metrics, health, /debug; empty for none"
    )
    insecure_metrics: bool = option(
        False, "serve the admin port, which is plain HTTP and tells what it knows, beyond loopback"
    )
    log_level: str = option("info", "what to log", ("frames", "debug", "info", "warning", "error"))
    log_format: str = option("text", "a line for people, or a JSON object for programs", ("text", "json"))

    def check_metrics(self) -> None:
        """A flag of its own: whoever opens the admin port does not open the one that serves as well.

        Raises:
            InvalidSettings: it would be open beyond this machine, and nobody said so.
        """
        if not self.metrics_listen or is_loopback(self.metrics_listen):
            return
        if not self.insecure_metrics:
            raise InvalidSettings(
                f"{self.metrics_listen} is not loopback, and the admin port is plain HTTP: "
                "it needs --insecure-metrics"
            )
        _log.warning("INSECURE METRICS: anyone who can reach %s may read them", self.metrics_listen)


@dataclass(frozen=True, kw_only=True)
class ServerSettings(ProcessSettings):
    """What every server process can be told."""

    listen: str = option("127.0.0.1:0", "host:port to serve on; port 0 picks a free one")
    tls_certificate: Path | None = option(None, "PEM file of this server's certificate chain")
    tls_key: Path | None = option(None, "PEM file of its private key")
    tls_client_ca: Path | None = option(None, "PEM file of the authority that signs callers' certificates")
    role_names: tuple[str, ...] = option(
        DEFAULT_PATTERNS, "how the certificates of callers and peers name their roles: URIs and DNS names"
    )
    insecure: bool = option(False, "serve plaintext or unknown callers beyond loopback")

    @property
    def server_tls(self) -> ServerTls | None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise InvalidSettings("--tls-certificate and --tls-key go together")
        if self.tls_certificate is None or self.tls_key is None:
            if self.tls_client_ca is not None:
                raise InvalidSettings("--tls-client-ca needs --tls-certificate and --tls-key")
            return None
        return ServerTls(self.tls_certificate, self.tls_key, self.tls_client_ca)

    @property
    def roles(self) -> RoleNames:
        try:
            return RoleNames(self.role_names)
        except ValueError as error:
            raise InvalidSettings(f"--role-names: {error}") from error

    def check_exposure(self, *, knows_callers: bool = False) -> None:
        """Refuse to serve strangers: call it before binding.

        `knows_callers`: the server verifies a credential of its own besides client certificates.

        Raises:
            InvalidSettings: the address is not loopback and the settings are not safe for that.
        """
        tls = self.server_tls
        self.check_metrics()
        if is_loopback(self.listen):
            return
        if tls is not None and (knows_callers or tls.client_ca is not None):
            return
        if not self.insecure:
            raise InvalidSettings(
                f"{self.listen} is not loopback: it needs TLS and a credential of the caller "
                "(--tls-certificate, --tls-key and --tls-client-ca or tokens), or --insecure"
            )
        _log.warning("INSECURE: serving %s to anyone who can reach it", self.listen)


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    """How a process shows itself to the other Croupier processes that it calls."""

    peer_ca: Path | None = option(None, "PEM file of the authority that signs the peers' certificates")
    peer_certificate: Path | None = option(None, "PEM file of the certificate shown to peers")
    peer_key: Path | None = option(None, "PEM file of its private key")

    @property
    def peer_tls(self) -> ClientTls | None:
        if (self.peer_certificate is None) != (self.peer_key is None):
            raise InvalidSettings("--peer-certificate and --peer-key go together")
        if self.peer_ca is None:
            if self.peer_certificate is not None:
                raise InvalidSettings("--peer-certificate and --peer-key need --peer-ca")
            return None
        return ClientTls(self.peer_ca, self.peer_certificate, self.peer_key)


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings:
    """Where a process sends its metrics and traces, beside the page that anybody may read."""

    otlp_endpoint: str = option(
        "", "collector of OTLP: http://host:port or https://host:port; empty for none"
    )
    otlp_protocol: str = option("grpc", "how the collector is spoken to", ("grpc", "http"))
    otlp_ca: Path | None = option(None, "PEM file of the authority that signs the collector's certificate")
    otlp_seconds: float = option(15.0, "time between two exports of metrics")
    trace_ratio: float = option(0.0, "part of the requests without a trace of their own that begin one")

    def check_telemetry(self, *, insecure: bool) -> None:
        """Raises InvalidSettings for what cannot be used, or is not safe to be told of callers."""
        if not 0 <= self.trace_ratio <= 1:
            raise InvalidSettings(f"--trace-ratio is a part, from 0 to 1, and not {self.trace_ratio}")
        if not 0.1 <= self.otlp_seconds <= 3_600:
            raise InvalidSettings(f"--otlp-seconds is from 0.1 to 3600, and not {self.otlp_seconds}")
        if not self.otlp_endpoint:
            if self.trace_ratio:
                raise InvalidSettings("--trace-ratio needs --otlp-endpoint")
            return
        try:
            url = urlsplit(self.otlp_endpoint)
            is_url = url.scheme in ("http", "https") and bool(url.hostname) and bool(url.port)
        except ValueError:
            is_url = False
        if not is_url or url.username is not None:
            raise InvalidSettings("--otlp-endpoint is http://host:port or https://host:port, without a user")
        if url.scheme == "https" or is_loopback(url.netloc):
            return
        if not insecure:
            raise InvalidSettings(
                f"{self.otlp_endpoint} is neither loopback nor https, and traces name tenants: "
                "it needs --insecure"
            )
        _log.warning("INSECURE: metrics and traces go to %s as plaintext", self.otlp_endpoint)


def is_loopback(listen: str) -> bool:
    """Whether `host:port` or `unix:path` can be reached from this machine only."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(
    cls: type[T],
    program: str,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Fill the settings dataclass `cls` from `argv` and `environ` (the process's own when None).

    Exits with status 2 and a sentence on wrong flags, as argparse does. Names on standard error the variables
    that are no settings.
    """
    parser = argparse.ArgumentParser(prog=program, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    _add_flags(parser, cls, program, environ)
    told = cls(**vars(parser.parse_args(argv)))
    for words in misspelt(cls, program, os.environ if environ is None else environ):
        sys.stderr.write(f"{program}: warning: {words}\n")
    return told


def misspelt(cls: type[Any], program: str, environ: Iterable[str]) -> list[str]:
    """What to say about the variables of `environ` that look like settings of `program` and are none."""
    known = {_prefix(program) + field.name.upper() for field in dataclasses.fields(cls)} | {_HOME}
    others = tuple(_prefix(other) for other in _PROGRAMS if other != program)
    found = []
    for name in sorted(set(environ) - known):
        if not name.startswith("CROUPIER_") or name.startswith(others) or _OF_KUBERNETES.search(name):
            continue
        close = get_close_matches(name, known, n=1, cutoff=0.85)
        found.append(f"{name} is no setting" + (f": is {close[0]} meant?" if close else ""))
    return found


def load_known(
    cls: type[T],
    program: str,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """As `load`, for a part of the settings: other flags are left to whoever knows them."""
    parser = argparse.ArgumentParser(prog=program, add_help=False, allow_abbrev=False)
    _add_flags(parser, cls, program, environ)
    return cls(**vars(parser.parse_known_args(argv)[0]))


def _add_flags(
    parser: argparse.ArgumentParser, cls: type[Any], program: str, environ: Mapping[str, str] | None
) -> None:
    environ = os.environ if environ is None else environ
    hints = typing.get_type_hints(cls)
    prefix = _prefix(program)
    for field in dataclasses.fields(cls):
        variable = prefix + field.name.upper()
        _add_flag(parser, field, hints[field.name], variable, environ.get(variable))


def _prefix(program: str) -> str:
    return program.replace("-", "_").upper() + "_"


def _add_flag(
    parser: argparse.ArgumentParser,
    field: dataclasses.Field[Any],
    hint: Any,
    variable: str,
    from_environ: str | None,
) -> None:
    flag = "--" + field.name.replace("_", "-")
    help_text = f"{field.metadata.get('help', '')} [${variable}]"
    default: Any = field.default
    if from_environ is not None:
        try:
            default = _parse_bool(from_environ) if hint is bool else _parser_of(hint)(from_environ)
        except ValueError:
            wanted = "neither true nor false" if hint is bool else f"no {_parser_of(hint).__name__}"
            parser.error(f"{variable} is {wanted}: {from_environ!r}")
    if hint is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=help_text, default=default)
        return
    choices = field.metadata.get("choices")
    if choices and default not in choices:
        parser.error(f"{variable} is none of {', '.join(choices)}: {default!r}")
    metavar = None if choices else field.name.upper()
    parser.add_argument(
        flag, type=_parser_of(hint), default=default, choices=choices, metavar=metavar, help=help_text
    )


def _parse_bool(value: str) -> bool:
    if value.lower() in _TRUE or value.lower() in _FALSE:
        return value.lower() in _TRUE
    raise ValueError(value)


def _parser_of(hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        (hint,) = [arm for arm in typing.get_args(hint) if arm is not type(None)]
    if typing.get_origin(hint) is tuple:
        return lambda text: tuple(part for part in text.split(",") if part)
    return hint


def home() -> Path:
    """The folder of the local stack: `$CROUPIER_HOME`, else `.croupier` in the working folder."""
    return Path(os.environ.get(_HOME, ".croupier")).absolute()
