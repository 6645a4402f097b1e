"""`croupierctl shards export` and `shards schema`: the shard map as a file to edit, and the form of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from croupier.errors import InvalidRequest
from croupier.files import EVERYBODY_READS, write_whole
from croupierctl import generation_file, output
from croupierctl.servers import ask_manager, current
from version_manager.model.wire import generation_from_pb


def export(
    file: Annotated[
        Path | None,
        typer.Argument(
            dir_okay=False,
            help="Where to, standard output if left out. Comments of a YAML file that is there stay.",
            show_default=False,
        ),
    ] = None,
    number: Annotated[int, typer.Option(min=0, help="A generation; 0 is the active one.")] = 0,
) -> None:
    """Write the shard map as a file to edit.

    It is for `shards plan` and `shards apply`: YAML, or JSON with --json or into a file that is called
    so. It says which generation it was made from, and is refused if another one is active when it is
    applied.
    """
    generation = generation_from_pb(ask_manager(lambda manager: manager.get_generation(number)))
    if current().as_json or (file is not None and file.suffix == ".json"):
        text = json.dumps(generation_file.plain(generation), indent=2, ensure_ascii=False) + "\n"
    else:
        before = file.read_bytes() if file is not None and file.exists() else b""
        text = generation_file.to_yaml(generation, before)
    if file is None:
        print(text, end="")
        return
    try:
        write_whole(file, text.encode(), mode=EVERYBODY_READS)
    except OSError as error:
        raise InvalidRequest(f"cannot write {file}: {error.strerror}") from error
    output.note(f"{file} has generation {generation.number}")


def schema() -> None:
    """Print the JSON schema of the file."""
    output.emit(generation_file.schema())
