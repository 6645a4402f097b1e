"""Verbs that are imported when they are used.

A command line is read as often as it is used: `--help`, a completion or a typing error must not wait for
NumPy and grpcio, whose imports take far longer than it does. So a group knows its verbs by name and by one
line of help, and imports the module of the one that is called. Lists and completions are made without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


class Verb(TyperCommand):
    """The verb `name`, which `module` has as `attribute`: a typer app, or a function."""

    def __init__(self, name: str, module: str, attribute: str, help: str) -> None:
        super().__init__(name=name, callback=None, params=[], help=help)
        self._module = module
        self._attribute = attribute

    @property
    def is_group(self) -> bool:
        return self._attribute == "app"

    def load(self) -> Any:
        """The command itself."""
        found = getattr(import_module(self._module), self._attribute)
        # As a part of another app, so that it is made as one: rich would take long to print a help.
        app = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self.name, help=self.help)
        else:
            app.command(self.name)(found)
        (command,) = typer.main.get_group(app).commands.values()
        return command


class LazyGroup(TyperGroup):
    """A group whose `verbs` are imported when they are used, beside those that it is given."""

    verbs: ClassVar[tuple[Verb, ...]] = ()

    def __init__(self, *, commands: Mapping[str, Any] | None = None, **attributes: Any) -> None:
        known: dict[str, Any] = {verb.name: verb for verb in self.verbs if verb.name}
        super().__init__(commands={**known, **(commands or {})}, **attributes)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Verb) else command, rest
