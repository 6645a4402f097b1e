"""Python's numbers are float64, and a fleet answers them as such, in whatever form the client sends them."""

import numpy as np
import pytest
from support.fleet import publish
from support.seconds import FEATURES, train_seconds
from support.waiting import wait_until

from croupier_client import Client
from croupier_client.encode import Item
from croupierctl.stack import Stack

pytestmark = pytest.mark.system


def test_rows_and_names_are_answered_as_the_library_answers_them(stack: Stack) -> None:
    model = train_seconds()
    publish(stack, "acme", "times", model.artifact)
    dense = [row.tolist() for row in model.rows]
    named = [dict(zip(FEATURES, row, strict=True)) for row in dense]
    with Client(stack.router, tenant="acme") as client:
        wait_until(lambda: bool(client.predict("times", dense[0]).version), "the model is routed")
        for asked, expected in (
            (dense, model.answers),
            (named, model.answers),
            (list(model.rows), model.answers),
            (list(model.rows.astype(np.float32)), model.narrowed),
        ):
            alone = [client.predict("times", one) for one in asked]
            together = client.predict_many([Item("times", one) for one in asked])
            for answers in (alone, together):
                found = [np.ravel(answer.outputs["value"])[0] for answer in answers]
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
