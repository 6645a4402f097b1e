"""`croupierctl local`: the whole fleet on this machine, to try things on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cell.supervisor import how_it_ended
from croupier.errors import FailedPrecondition
from croupier.settings import home
from croupier.stores.features import redacted
from croupierctl import output
from croupierctl.stack import Stack
from croupierctl.stack_state import is_alive, read_state

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[
    Path,
    typer.Option(
        "--folder",
        help="Where the stack keeps its data.",
        default_factory=home,
        show_default="$CROUPIER_HOME, else .croupier here",
    ),
]


@app.command()
def up(
    folder: Folder,
    cells: Annotated[int, typer.Option(help="How many cells.", min=1)] = 8,
    zones: Annotated[int, typer.Option(help="Zones to spread them over.", min=1, max=26)] = 4,
    hand_size: Annotated[int, typer.Option(help="Cells in a tenant's hand.", min=1)] = 3,
    router_port: Annotated[int, typer.Option(help="The router's port.")] = 8500,
    manager_port: Annotated[int, typer.Option(help="The version manager's port.")] = 8400,
    log: Annotated[
        bool, typer.Option("--log", help="And a logger, for what families want logged: croupier[log].")
    ] = False,
    features_store: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Where the router reads stored features.",
            show_default="features in the stack's folder",
        ),
    ] = "",
) -> None:
    """Start etcd, a version manager, cells and a router; stay until Ctrl-C."""
    holder, _ = read_state(folder)
    if holder:
        raise FailedPrecondition(f"a stack runs in {folder} already; `croupierctl local down` stops it")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    stack = Stack(
        *(folder, cells, zones, hand_size, router_port, manager_port), logs=log, features_store=features_store
    )
    try:
        with stack:
            _show(folder)
            store = redacted(stack.features_url)
            output.note(f"Stored features: croupierctl features load GROUP FILE --store {store}")
            output.note("Ctrl-C stops it. Try: croupierctl cells ls")
            _watch(stack)
    except KeyboardInterrupt:
        output.note("stopped")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _watch(stack: Stack, sleep: Callable[[float], None] = time.sleep) -> None:
    """Say so when a process ends; the rest goes on."""
    running = dict(stack.processes)
    while running:
        for name, process in list(running.items()):
            if not process.is_running:
                output.note(f"{name} ended {how_it_ended(process.exit_code)}; its log is {process.log}")
                del running[name]
        sleep(0.5)


@app.command()
def status(folder: Folder) -> None:
    """Show the processes of the local stack. Exit code 1 when one of them does not run."""
    _, processes = read_state(folder)
    _show(folder)
    if not processes or not all(process.is_running for process in processes):
        raise typer.Exit(1)


def _show(folder: Path) -> None:
    _, processes = read_state(folder)
    rows = [(p.name, p.address, p.pid, "running" if p.is_running else "ended") for p in processes]
    output.table(("process", "address", "pid", "state"), rows, empty=f"no stack runs in {folder}")


@app.command()
def down(folder: Folder) -> None:
    """Stop the local stack and wait until it has stopped."""
    holder, _ = read_state(folder)
    if not holder:
        output.note(f"no stack runs in {folder}")
        return
    os.kill(holder, signal.SIGTERM)
    while is_alive(holder):
        time.sleep(0.05)
    output.note("stopped")
