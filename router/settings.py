"""What a router can be told."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from croupier.settings import (
    InvalidSettings,
    PeerSettings,
    ServerSettings,
    TelemetrySettings,
    is_loopback,
    option,
)
from croupier.stores.spool_folder import SEGMENT_BYTES
from croupier.transport.http2.limits import MAX_MESSAGE_BYTES
from router.tokens import AUDIENCE, MAX_SECONDS, TokenRules

_log = logging.getLogger(__name__)

# A manager takes so many of each kind in a report (`version_manager.rates.MOST_TOLD`).
MOST_RATES = 1000


@dataclass(frozen=True, kw_only=True)
class RouterSettings(ServerSettings, PeerSettings, TelemetrySettings):
    """Times are in seconds."""

    listen: str = option("127.0.0.1:8500", "host:port to serve on; port 0 picks a free one")
    reuse_port: bool = option(False, "several routers share the port, one a core")
    manager: str = option("127.0.0.1:8400", "version managers: host:port[,host:port...]")
    snapshot: Path | None = option(None, "file that keeps a copy of the catalog, to start from without it")
    token_keys: Path | None = option(
        None, "JSON Web Key Set of the tenants' tokens, read anew when it changes; else headers are believed"
    )
    token_key: Path | None = option(None, "file with the secret of tokens that name no key")
    token_audience: str = option(AUDIENCE, "whom tokens are for")
    token_issuer: str = option("", "whom tokens are from; empty for anybody with a key")
    token_max_seconds: float = option(MAX_SECONDS, "how long tokens may hold from now on")
    max_connection_age: float = option(0.0, "age at which a connection is asked to begin anew; 0 for never")
    max_in_flight: int = option(4096, "requests in flight")
    max_in_flight_per_tenant: int = option(
        512, "requests in flight of one tenant; its own limit may say less"
    )
    limit_cells: bool = option(
        True, "requests are refused while the answers of their cells are late; else cells alone say no"
    )
    max_streams_per_tenant: int = option(256, "streams that one tenant may have open")
    max_uploading_bytes_per_tenant: int = option(
        48 * 2**20, "bytes of one tenant's requests of more than 64 KiB that are on their way in"
    )
    max_items: int = option(1024, "items in one Predict request; no more than a cell takes rows")
    max_message_bytes: int = option(MAX_MESSAGE_BYTES, "bytes of one request")
    stream_at_once: int = option(32, "requests of one stream that are in work")
    default_timeout: float = option(10.0, "time for a request whose caller set no deadline")
    attempt_timeout: float = option(1.0, "silence of a cell after which the next one is asked as well")
    retry_share: float = option(0.2, "retries that each request pays for")
    retries_per_second: float = option(10.0, "retries besides")
    slow_request_ms: float = option(
        1000.0, "milliseconds after which a request leaves a line in the log; 0 for never"
    )
    access_log_ratio: float = option(0.0, "share of all requests that leave one, however long they take")
    features_store: str = option(
        "", "feature store: redis://…, rediss://… or lmdb:/folder; empty: no family's features are read"
    )
    features_timeout: float = option(
        0.1, "longest time that a request waits for features; never over 30 % of what its deadline leaves"
    )
    features_known: float = option(2.0, "time for which what was read of the feature store is known")
    features_bytes: int = option(64 * 2**20, "bytes in which it is known")
    log_spool: Path | None = option(
        None, "folder into which predictions are logged, for a croupier-logger of this host; else none are"
    )
    log_spool_bytes: int = option(
        2**30, "what all routers of this host may have there; beyond it records are dropped"
    )
    rates_top: int = option(
        500, "tenants, and models, whose requests are counted for version managers: the busiest; 0 for none"
    )
    stale_seconds: float = option(
        5.0, "time without a newer shard map, once cells refuse this one, after which the router is not ready"
    )
    watch_silence: float = option(6.0, "silence of the version manager after which the watch is broken")

    def check(self) -> None:
        """Raises InvalidSettings for settings that are not safe to serve with."""
        self.check_exposure(knows_callers=self.takes_tokens)
        self.check_telemetry(insecure=self.insecure)
        if not self.takes_tokens and not is_loopback(self.listen) and not self.insecure:
            raise InvalidSettings("beyond loopback, tenants are known by tokens: --token-keys, or --insecure")
        if not self.takes_tokens and not is_loopback(self.listen):
            _log.warning("INSECURE: anyone who can reach %s may say that it is any tenant", self.listen)
        if not 0 <= self.slow_request_ms < math.inf or not 0 <= self.access_log_ratio <= 1:
            raise InvalidSettings("--slow-request-ms is 0 or more, --access-log-ratio from 0 to 1")
        if not 0 < self.features_timeout < math.inf or not 0 <= self.features_known < math.inf:
            raise InvalidSettings("--features-timeout and --features-known are numbers of seconds")
        if self.features_bytes < 0:
            raise InvalidSettings("--features-bytes is 0 or more")
        if not 0 < self.stale_seconds < math.inf:
            raise InvalidSettings("--stale-seconds is a number of seconds")
        if self.log_spool_bytes < 2 * SEGMENT_BYTES:
            raise InvalidSettings(f"--log-spool-bytes has room for two segments: {2 * SEGMENT_BYTES}")
        if not 0 <= self.rates_top <= MOST_RATES:
            raise InvalidSettings(f"--rates-top is from 0 to {MOST_RATES}")
        if not 0 < self.token_max_seconds < math.inf or not self.token_audience:
            raise InvalidSettings("--token-audience and --token-max-seconds cannot be empty")

    @property
    def takes_tokens(self) -> bool:
        return self.token_keys is not None or self.token_key is not None

    @property
    def token_rules(self) -> TokenRules:
        return TokenRules(self.token_audience, self.token_issuer, self.token_max_seconds)
