"""What a version manager can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from croupier import settings
from croupier.settings import InvalidSettings, PeerSettings, ServerSettings, TelemetrySettings, option
from croupier.stores.etcd import EtcdConfig


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

    def check(self) -> None:
        """Raises InvalidSettings, saying which setting is wrong."""
        for name in ("lease_seconds", "history", "max_artifact_bytes"):
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} must be above 0")
        if not self.warm_seconds >= 0:
            raise InvalidSettings("--warm-seconds cannot be below 0")
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
