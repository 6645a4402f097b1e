"""Requests for trained models, encoded once, and answers compared with what the training library says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from bench.demo import stored
from bench.demo.stored import Said
from bench.training import ROWS, Trained
from croupier_client.decode import Prediction, decode
from croupier_client.encode import Item, encode
from croupier_client.messages import prediction as pb

PREDICT = b"/croupier.prediction.v1.PredictionService/Predict"

# Different encodings of right answers that are kept for one question.
_MOST_KNOWN = 8


class Asking:
    """Request number n asks for a row of `models[of(n)]`; both are drawn from a seed, in advance.

    `weights` are the models' shares of the requests. The first answer to a question is decoded and compared
    with the library's; from then on the same bytes are right again. `wrong` has the numbers of wrong answers,
    of those that could be compared: an error is none. `stored` counts what right ones say of stored features.
    """

    path = PREDICT

    def __init__(self, models: Sequence[Trained], weights: Sequence[float], seed: int, *, draws: int = 2**16):
        random = np.random.default_rng(seed)
        shares = np.array(weights)
        self.models = models
        self.wrong: list[int] = []
        self._planted = [stored.planted_of(model) for model in models]
        self.stored = stored.Stored(*stored.shape(models))
        self._asked: list[int] = random.choice(len(models), size=draws, p=shares / shares.sum()).tolist()
        self._rows = random.integers(ROWS, size=draws).tolist()
        self._tenants = [model.recipe.tenant.encode() for model in models]
        self._known: dict[tuple[int, int], set[tuple[bytes, Said]]] = {}
        self._encoded = cache(self._encode)

    def of(self, number: int) -> int:
        """Which model the request is for."""
        return self._asked[number % len(self._asked)]

    def tenant(self, number: int) -> bytes:
        return self._tenants[self.of(number)]

    def message(self, number: int) -> bytes:
        return self._encoded(self.of(number), self._rows[number % len(self._rows)])

    def is_answer(self, number: int, answer: bytes) -> bool:
        results = pb.PredictResponse.FromString(answer).results
        if len(results) != 1:
            self.wrong.append(number)
            return False
        (result,) = results
        question = self.of(number), self._rows[number % len(self._rows)]
        known = self._known.setdefault(question, set())
        # How long it took stands beside the value, and how old what is stored.
        value, said = result.value.SerializeToString(), Said.of(result)
        if (value, said) in known:
            self._count(question, said)
            return True
        prediction = decode(result)
        if not isinstance(prediction, Prediction):
            return False
        if not self._is_right(question, prediction, said):
            self.wrong.append(number)
            return False
        if len(known) < _MOST_KNOWN:
            known.add((value, said))
        self._count(question, said)
        return True

    def _is_right(self, question: tuple[int, int], prediction: Prediction, said: Said) -> bool:
        model, row = question
        planted = self._planted[model]
        if planted is None:
            return self.models[model].is_right(row, prediction.outputs)
        return stored.is_right(self.models[model], planted, row, prediction, said)

    def _count(self, question: tuple[int, int], said: Said) -> None:
        model, row = question
        if planted := self._planted[model]:
            self.stored.count(planted, row, said)

    def _encode(self, model: int, row: int) -> bytes:
        chosen, planted = self.models[model], self._planted[model]
        if planted is None:
            item = encode(Item(chosen.recipe.name, chosen.rows[row], entity_id=str(row)))
        else:
            item = encode(stored.item_of(chosen, planted, row))
        return pb.PredictRequest(items=[item]).SerializeToString()
