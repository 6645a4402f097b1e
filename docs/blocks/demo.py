"""What `make demo` printed, as it was printed: a test holds the page to the figures beside it."""

from __future__ import annotations

from blocks.results import machine, result


def page() -> str:
    found = result("demo")
    about, lines = found["about"], "".join(f"{line}\n" for line in found["page"])
    return f"```text\n{lines}```\n\n`{about['command']}`, {about['date']}, on {machine(about)}.\n"
