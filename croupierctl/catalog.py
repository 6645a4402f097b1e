"""`croupierctl catalog`: the catalog as a whole, when etcd was damaged."""

from __future__ import annotations

from typing import Any

import typer

from croupierctl import output
from croupierctl.session import ask_manager
from protos.versions.v1 import versions_pb2 as pb

app = typer.Typer(help="The catalog as a whole, when etcd was damaged.", no_args_is_help=True)


@app.command()
def repair() -> None:
    """Write back to etcd what is served, where etcd says something that makes no sense or has lost it."""
    report_repair(ask_manager(lambda manager: manager.repair()))


def report_repair(done: pb.RepairResponse, **fields: Any) -> None:
    """Tell which keys were written, and which nobody knows a good value of."""
    output.record(
        {
            **fields,
            "repaired": output.listing(list(done.repaired)),
            "left": output.listing(list(done.left)),
        }
    )
    if not done.repaired:
        output.note("nothing was to be repaired")
    if done.left:
        output.note(
            "no good value is known of what is left: write one with etcdctl, or delete the keys, "
            "and shards with `croupierctl shards set`"
        )
