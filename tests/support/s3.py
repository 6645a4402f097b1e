"""A real S3-speaking server: OpenStack Swift with its s3api, small enough for a test.

`swift_s3(folder)` starts this file as a program. In that one process Swift's account, container and
object servers and its proxy listen on free loopback ports; accounts and containers are SQLite files
below `folder`, objects lie in memory, since the disk object server wants extended attributes, which
not every temporary folder has. The process ends when its standard input closes, so it never
outlives the tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROXY = """\
[pipeline:main]
pipeline = catch_errors s3api tempauth slo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
swift_dir = {folder}
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:s3api]
use = egg:swift#s3api

[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
user_{account}_stranger = {secret}

[filter:slo]
use = egg:swift#slo

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true

[filter:symlink]
use = egg:swift#symlink
"""
_ACCOUNT, _USER, _SECRET = "test", "tester", "testing"


@dataclass(frozen=True, slots=True)
class S3Server:
    """`endpoint` is an http URL on loopback; the `stranger` is a user without any right."""

    endpoint: str
    process: subprocess.Popen[str]
    region: str = "us-east-1"
    access_key: str = f"{_ACCOUNT}:{_USER}"
    secret_key: str = _SECRET
    stranger: str = f"{_ACCOUNT}:stranger"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def swift_s3(folder: Path) -> Iterator[S3Server]:
    """Run Swift with everything it writes below `folder`."""
    log = folder / "swift.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            ready = re.fullmatch(r"serving on (\d+)\n", process.stdout.readline())
            assert ready, f"Swift did not start: {log.read_text()}"
            yield S3Server(f"http://127.0.0.1:{ready[1]}", process)
        finally:
            process.kill()


def _serve(folder: Path) -> None:
    import eventlet

    eventlet.monkey_patch()
    from eventlet import wsgi
    from swift.account.server import AccountController
    from swift.common import utils
    from swift.common.storage_policy import reload_storage_policies
    from swift.common.wsgi import loadapp
    from swift.container.server import ContainerController
    from swift.obj.mem_server import ObjectController

    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = croupier\n")
    (folder / "devices" / "disk").mkdir(parents=True)
    utils.set_swift_dir(str(folder))
    reload_storage_policies()

    conf = {"swift_dir": str(folder), "devices": str(folder / "devices"), "mount_check": "false"}
    for kind, controller in (
        ("account", AccountController),
        ("container", ContainerController),
        ("object", ObjectController),
    ):
        listener = eventlet.listen(("127.0.0.1", 0))
        _write_ring(folder / f"{kind}.ring.gz", listener.getsockname()[1])
        eventlet.spawn(wsgi.server, listener, controller(conf), log_output=False)

    proxy = folder / "proxy-server.conf"
    proxy.write_text(_PROXY.format(folder=folder, account=_ACCOUNT, user=_USER, secret=_SECRET))
    listener = eventlet.listen(("127.0.0.1", 0))
    eventlet.spawn(wsgi.server, listener, loadapp(str(proxy)), log_output=False)
    sys.stdout.write(f"serving on {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    eventlet.tpool.execute(sys.stdin.read)


def _write_ring(path: Path, port: int) -> None:
    """A ring of one device, which is where Swift looks for the one server of a kind."""
    from swift.common.ring import RingBuilder

    builder = RingBuilder(part_power=1, replicas=1, min_part_hours=0)
    builder.add_dev(
        {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1.0}
    )
    builder.rebalance()
    builder.get_ring().save(str(path))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
