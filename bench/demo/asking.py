"""Requests for trained models, encoded once, and answers compared with what the training library says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

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
    of those that could be compared: an error is none.
    """

    path = PREDICT

    def __init__(self, models: Sequence[Trained], weights: Sequence[float], seed: int, *, draws: int = 2**16):
        random = np.random.default_rng(seed)
        shares = np.array(weights)
        self.models = models
        self.wrong: list[int] = []
        self._asked: list[int] = random.choice(len(models), size=draws, p=shares / shares.sum()).tolist()
        self._rows = random.integers(ROWS, size=draws).tolist()
        self._tenants = [model.recipe.tenant.encode() for model in models]
        self._known: dict[tuple[int, int], set[bytes]] = {}
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
        # How long it took stands beside the value.
        value = result.value.SerializeToString()
        if value in known:
            return True
        prediction = decode(result)
        if not isinstance(prediction, Prediction):
            return False
        model, row = question
        if not self.models[model].is_right(row, prediction.outputs):
            self.wrong.append(number)
            return False
        if len(known) < _MOST_KNOWN:
            known.add(value)
        return True

    def _encode(self, model: int, row: int) -> bytes:
        chosen = self.models[model]
        item = encode(Item(chosen.recipe.name, chosen.rows[row], entity_id=str(row)))
        return pb.PredictRequest(items=[item]).SerializeToString()
