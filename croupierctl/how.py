"""How the shard map is changed: the options of every verb that does so, declared once.

    @changing(wait=True)
    def drain(cells: Cells, how: How) -> None: ...

typer reads options from a function's parameters, and these would stand in a dozen of them. So a verb has
`how` in their place, and what typer gets to see has one parameter for each field of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

from croupierctl.arguments import duration

DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Print what it would do, and stop.")]
Force: TypeAlias = Annotated[
    str, typer.Option(metavar="REASON", help="Do it although it is refused, and say why.")
]
Reason: TypeAlias = Annotated[
    str, typer.Option(metavar="WORDS", help="What it is for: kept with the map. By default, the command.")
]
_Verb: TypeAlias = Callable[..., None]


@dataclass(frozen=True, slots=True)
class How:
    """`force` and `reason` are words, `ramp` and `timeout` seconds.

    Unless it is `cold`, tenants move once cells have loaded what they will be asked for. With `wait`, the
    change is followed until the cells that are not dealt any more have nothing left to do.
    """

    dry_run: DryRun = False
    force: Force = ""
    reason: Reason = ""
    ramp: Annotated[
        float,
        typer.Option(
            metavar="TIME", parser=duration, help="Take over tenant by tenant, within 90s, 10m or 1h30m."
        ),
    ] = 0.0
    cold: Annotated[
        bool,
        typer.Option("--cold", help="Do not wait until cells have loaded what they will be asked for."),
    ] = False
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until all tenants have moved.")] = False
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Return once no hand has them, every router knows that, and they are asked nothing.",
        ),
    ] = False
    timeout: Annotated[
        float, typer.Option(metavar="TIME", parser=duration, help="Follow it for so long at most.")
    ] = 3600.0


_HINTS = get_type_hints(How, include_extras=True)


def changing(*, wait: bool = False, ramp: bool = True) -> Callable[[_Verb], _Verb]:
    """Have a verb take `how` from the command line: with --wait if it frees cells, --ramp if tenants move."""
    left_out = {name for name, is_taken in (("wait", wait), ("ramp", ramp), ("cold", ramp)) if not is_taken}
    options = [
        inspect.Parameter(
            *(field.name, inspect.Parameter.KEYWORD_ONLY),
            default=field.default,
            annotation=_HINTS[field.name],
        )
        for field in fields(How)
        if field.name not in left_out
    ]

    def decorate(verb: _Verb) -> _Verb:
        signature = inspect.signature(verb, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "how"]

        @wraps(verb)
        def run(**given: Any) -> None:
            how = How(**{option.name: given.pop(option.name) for option in options})
            verb(**given, how=how)

        parameters = [*own, *options]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate
