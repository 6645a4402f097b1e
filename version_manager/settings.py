"""What a version manager can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from croupier import settings
from croupier.settings import InvalidSettings, PeerSettings, ServerSettings, TelemetrySettings, option
from croupier.stores.etcd import EtcdConfig
from version_manager.ramp_bounds import Bounds


@dataclass(frozen=True, kw_only=True)
class ManagerSettings(ServerSettings, PeerSettings, TelemetrySettings):
    """What a version manager can be told."""

    listen: str = option("127.0.0.1:8400", "host:port to serve on; port 0 picks a free one")
    etcd: tuple[str, ...] = option(("127.0.0.1:2379",), "etcd's endpoints: host:port[,host:port...]")
    etcd_ca: Path | None = option(None, "PEM file of the authority that signs etcd's certificates")
    etcd_certificate: Path | None = option(None, "PEM file of the certificate shown to etcd")
    etcd_key: Path | None = option(None, "PEM file of its private key")
    etcd_user: str = option("", "user name at etcd")
    etcd_password_file: Path | None = option(None, "file with the password of that user")
    prefix: str = option("croupier/", "what every key in etcd begins with")
    store: str = option("", "object store of artifacts: file:///folder or s3://bucket/prefix?endpoint=...")
    snapshot: Path | None = option(
        None,
        "file that keeps what was good, over restarts; without it $CROUPIER_HOME/version-manager.snapshot",
    )
    lease_seconds: float = option(10.0, "after how many silent seconds a cell is taken for gone")
    history: int = option(20_000, "changed things kept for routers that come back")
    max_artifact_bytes: int = option(
        2**28, "largest artifact that is taken; all uploads together may have twice as much"
    )
    demand_comparison: bool = option(
        False, "take no artifact that was not compared with its library before it was published"
    )
    warm_seconds: float = option(
        10.0, "how long cells may take to load a version before a release moves to it; 0: it does not wait"
    )
    ramp_errors: float = option(
        0.01, "a ramp is held when this share of requests more than before it fails; 1: never"
    )
    ramp_hits: float = option(
        0.1,
        "a ramp is held when this share of requests fewer than before it finds its model loaded; 1: never",
    )
    ramp_load_seconds: float = option(
        2.0, "a ramp is held when the p99 of loads is above that, and above three times what it was before"
    )
    ramp_requests: int = option(1000, "of fewer requests no ramp is held")
    handover_seconds: float = option(
        60.0,
        "how long cells may take to load what others hold hot, before a shard map deals and a cell goes; "
        "0: nothing waits for that",
    )
    ramp_settle_seconds: float = option(
        60.0, "how long the generation before is looked back to after a ramp is whole"
    )
    grace_seconds: float = option(1.0, "how long running requests may take at the end")

    @property
    def etcd_config(self) -> EtcdConfig:
        """Raises InvalidSettings."""
        return EtcdConfig(
            endpoints=self.etcd,
            ca=self.etcd_ca,
            certificate=self.etcd_certificate,
            key=self.etcd_key,
            user=self.etcd_user,
            password=_password(self.etcd_password_file),
        )

    @property
    def store_url(self) -> str:
        return self.store or f"file://{settings.home() / 'objects'}"

    @property
    def snapshot_path(self) -> Path:
        return self.snapshot or settings.home() / "version-manager.snapshot"

    @property
    def ramp_bounds(self) -> Bounds:
        """How much worse it may become while a generation takes over."""
        return Bounds(self.ramp_errors, self.ramp_hits, self.ramp_load_seconds, self.ramp_requests)

    def check(self) -> None:
        """Raises InvalidSettings, saying which setting is wrong."""
        for name in ("lease_seconds", "history", "max_artifact_bytes"):
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} must be above 0")
        for name in ("ramp_errors", "ramp_hits"):
            if not 0 < getattr(self, name) <= 1:
                raise InvalidSettings(f"--{name.replace('_', '-')} is a share: above 0, and 1 at most")
        for name in (
            "warm_seconds",
            "ramp_load_seconds",
            "ramp_requests",
            "ramp_settle_seconds",
            "handover_seconds",
        ):
            if not getattr(self, name) >= 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} cannot be below 0")
        self.check_exposure()
        self.check_telemetry(insecure=self.insecure)


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text().strip("\r\n")
    except OSError as error:
        raise InvalidSettings(f"etcd's password cannot be read: {error}") from error
    except UnicodeDecodeError:
        # The error quotes what it met, and a log is no place for a byte of a password.
        raise InvalidSettings(f"etcd's password cannot be read: {path} is not UTF-8") from None
