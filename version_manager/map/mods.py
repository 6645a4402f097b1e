"""The mod_revision of every key that was taken of etcd.

Nearly all keys are of models, several of each. They lie together below one string, `tenant/name`, in a tuple
of what follows that in the key and its revision, and so on: a third of what a dictionary of all keys takes,
and nothing that the collector keeps looking at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from sys import intern

ModelId = tuple[str, str]
# What follows the model in a key, its revision, and so on.
_Pairs = tuple[str | int, ...]


class Mods:
    """Of the keys below `prefix`; `model_of` tells whose a key is, None: no model's."""

    def __init__(self, prefix: str, model_of: Callable[[str], ModelId | None]) -> None:
        self._start = f"{prefix}models/"
        self._model_of = model_of
        self._models: dict[str, _Pairs] = {}
        self._others: dict[str, int] = {}

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Every key."""
        yield from self._others
        for model, pairs in self._models.items():
            for what in pairs[::2]:
                yield f"{self._start}{model}/{what}"

    def get(self, key: str) -> int | None:
        """The key's revision, None if it is not known."""
        model, what = self._place(key)
        if not model:
            return self._others.get(key)
        pairs = self._models.get(model, ())
        at = _find(pairs, what)
        return None if at is None else int(pairs[at + 1])

    def put(self, key: str, revision: int) -> None:
        model, what = self._place(key)
        if not model:
            self._others[key] = revision
            return
        pairs = self._models.get(model, ())
        at = _find(pairs, what)
        if at is None:
            self._models[model] = (*pairs, intern(what), revision)
        else:
            self._models[model] = (*pairs[: at + 1], revision, *pairs[at + 2 :])

    def drop(self, key: str) -> None:
        """Forget a key, which may be unknown."""
        model, what = self._place(key)
        if not model:
            self._others.pop(key, None)
            return
        pairs = self._models.get(model, ())
        at = _find(pairs, what)
        if at is None:
            return
        if left := (*pairs[:at], *pairs[at + 2 :]):
            self._models[model] = left
        else:
            del self._models[model]

    def count(self, model: ModelId) -> int:
        """How many keys of the model there are."""
        return len(self._models.get("/".join(model), ())) // 2

    def copy(self) -> Mods:
        """What stays while this goes on."""
        copied = Mods("", self._model_of)
        copied._start, copied._models, copied._others = self._start, dict(self._models), dict(self._others)
        return copied

    def _place(self, key: str) -> tuple[str, str]:
        """Below what a key lies, and as what; nothing for one that is no model's."""
        found = self._model_of(key) if key.startswith(self._start) else None
        if found is None:
            return "", ""
        model = "/".join(found)
        return model, key[len(self._start) + len(model) + 1 :]


def _find(pairs: _Pairs, what: str) -> int | None:
    for at in range(0, len(pairs), 2):
        if pairs[at] == what:
            return at
    return None
