"""What a run says in a sentence, which is the worst of it, and in a few more: does it count, does it hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from croupier_bench import words
from croupier_bench.result import Judged, Result

GOOD, BAD, DOUBT = "good", "bad", "doubt"


@dataclass(frozen=True, slots=True)
class Said:
    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`head` is the worst of all; `more` says each matter, in this order: counts, wrong, stopped, level."""

    head: Said
    more: tuple[Said, ...]


def verdict(result: Result) -> Verdict:
    return Verdict(_head(result), tuple(_more(result)))


def wrong(result: Result) -> int:
    """Answers that were not right."""
    return sum(result.wrong.values())


def _head(result: Result) -> Said:
    """As the command's exit code has it: a wrong answer is worst."""
    if count := wrong(result):
        return Said(BAD, words.several(count, "wrong answer"))
    if not result.valid:
        return Said(BAD, "This run does not count")
    if result.stopped:
        return Said(DOUBT, "Stopped early")
    if not result.slo.asked:
        return Said(GOOD, "This run counts; no service level was asked for")
    if result.slo.holds:
        return Said(GOOD, "The service level holds")
    return Said(BAD, "The service level does not hold")


def _more(result: Result) -> Iterator[Said]:
    if result.valid:
        yield Said(GOOD, "Valid: the load sent what was planned, when it was planned.")
    for why in result.why_invalid:
        yield Said(BAD, f"Invalid: {why}")
    if not result.valid:
        yield Said(DOUBT, "Its latencies may be those of the load, not of what was asked.")
    yield from _answers(result)
    if result.stopped:
        yield Said(DOUBT, f"Stopped early: {result.stopped}")
    yield from _level(result.slo)


def _answers(result: Result) -> Iterator[Said]:
    count, checked = wrong(result), result.answered - result.unverified
    if count:
        yield Said(BAD, f"{count:,} of {checked:,} answers that were looked at were wrong.")
    elif checked > 0:
        yield Said(GOOD, f"All {checked:,} answers that were looked at were right.")
    elif result.answered:
        yield Said(DOUBT, "No answer was looked at, so none is known to be right: --verify does.")
    if checked > 0 and result.unverified:
        yield Said(DOUBT, f"{result.unverified:,} answers were not looked at.")


def _level(slo: Judged) -> Iterator[Said]:
    for name, asked in slo.asked.items():
        seen = slo.seen.get(name)
        holds = seen is not None and seen <= asked
        told = f"{level(name, seen)} seen, at most {level(name, asked)} asked"
        yield Said(GOOD if holds else BAD, f"{bound(name)}: {told}")


def bound(name: str) -> str:
    """p99_ms as people say it."""
    return words.quantile(name.removesuffix("_ms"))


def level(name: str, value: float | None) -> str:
    """A bound of a service level, with its unit: milliseconds, or a share."""
    if value is None:
        return "none"
    return words.ms(value) if name.endswith("_ms") else words.share(value, 1.0)
