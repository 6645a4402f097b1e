"""What a logger can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from croupier import settings
from croupier.files import read_regular
from croupier.settings import InvalidSettings, ProcessSettings, option

MOST_KEY_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class LoggerSettings(ProcessSettings):
    """Times are in seconds."""

    spool: Path | None = option(None, "folder into which the routers of this host log; $CROUPIER_HOME/spool")
    store: str = option("", "object store of artifacts: file:///folder or s3://bucket/prefix?endpoint=...")
    log: str = option("", "where the log is written, likewise; without it $CROUPIER_HOME/log")
    sink: str = option("parquet", "what it is written as", ("parquet", "jsonl"))
    flush_seconds: float = option(60.0, "age at which records are written, however few they are")
    file_bytes: int = option(64 * 2**20, "records of so many bytes are written together, sooner than that")
    poll_seconds: float = option(0.25, "time between two looks into the spool")
    put_seconds: float = option(60.0, "time that the store has for one object")
    grace_seconds: float = option(10.0, "time at the end to write what is there; the rest stays in the spool")
    hash_key: Path | None = option(
        None, "file with the secret of hashed fields, 64 bytes at most; without it they are dropped"
    )
    undecodable_bytes: int = option(64 * 2**20, "what is kept of records that cannot be read")

    def check(self) -> None:
        """Raises InvalidSettings, saying which setting is wrong."""
        self.check_metrics()
        for name in ("flush_seconds", "file_bytes", "poll_seconds", "put_seconds"):
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} must be above 0")
        for name in ("grace_seconds", "undecodable_bytes"):
            if not getattr(self, name) >= 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} cannot be below 0")

    @property
    def spool_folder(self) -> Path:
        return self.spool or settings.home() / "spool"

    @property
    def store_url(self) -> str:
        return self.store or f"file://{settings.home() / 'objects'}"

    @property
    def log_url(self) -> str:
        return self.log or f"file://{settings.home() / 'log'}"

    def read_key(self) -> bytes:
        """The secret of hashes; empty without one. Raises InvalidSettings."""
        if self.hash_key is None:
            return b""
        try:
            key = read_regular(self.hash_key).strip()
        except OSError as error:
            raise InvalidSettings(f"--hash-key cannot be read: {error}") from error
        if not 16 <= len(key) <= MOST_KEY_BYTES:
            raise InvalidSettings(f"--hash-key holds from 16 to {MOST_KEY_BYTES} bytes")
        return key
