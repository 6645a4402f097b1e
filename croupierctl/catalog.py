"""`croupierctl catalog`: the catalog as a whole, when etcd was damaged."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from croupier.errors import FailedPrecondition
from croupierctl import output
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb

app = typer.Typer(no_args_is_help=True)


@app.command()
def repair() -> None:
    """Write back to etcd what is served, where etcd says something that makes no sense or has lost it."""
    report_repair(ask_manager(lambda manager: manager.repair()))


@app.command()
def status() -> None:
    """Show whether the catalog stands, since etcd lost content or went back, and what it would lose."""
    _show(ask_manager(lambda manager: manager.get_freeze()))


@app.command()
def thaw(
    reason: Annotated[str, typer.Option(help="Why the loss is meant; for the audit.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take what etcd has, whatever is lost by it: the way out of a freeze when the loss is meant.

    Shows first what every version manager and router will lose. The shard map and its seed are not lost.
    """
    if current().as_json and not yes:
        raise typer.BadParameter("with --json, nobody can be asked: look at `catalog status`, then say --yes")
    seen = ask_manager(lambda manager: manager.get_freeze())
    if not seen.frozen:
        raise FailedPrecondition("the map is not frozen: there is nothing to thaw", reason="NOT_FROZEN")
    if not yes:
        _show(seen)
        typer.confirm("lose this?", abort=True, err=True)
    left = ask_manager(lambda manager: manager.thaw(seen, reason))
    if left.frozen:
        raise FailedPrecondition(f"it was thawed, and is still frozen: {left.why}", reason="MAP_FROZEN")
    output.record(
        {
            "lost models": seen.lost_models,
            "missing keys": seen.missing_keys,
            "older keys": seen.older_keys,
            "cluster": seen.cluster,
            "revision": seen.revision,
        }
    )


def _show(freeze: pb.Freeze) -> None:
    output.record(
        {
            "frozen": freeze.frozen,
            "why": freeze.why,
            "lost models": freeze.lost_models,
            "missing keys": freeze.missing_keys,
            "older keys": freeze.older_keys,
            "models": _some([f"{one.tenant}/{one.name}" for one in freeze.models], freeze.lost_models),
            "missing": _some(list(freeze.missing), freeze.missing_keys),
            "older": _some(list(freeze.older), freeze.older_keys),
            "cluster": freeze.cluster,
            "revision": freeze.revision,
        }
    )


def _some(names: list[str], count: int) -> output.Shown:
    """The names that are known of `count`."""
    shown = output.listing(names)
    if len(names) < count:
        return output.Shown(shown.value, f"{shown.text} and {count - len(names)} more")
    return shown


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
            "and shards with `croupierctl shards apply`"
        )
