"""What the audit says of who asked, beside what `test_server.py` shows of what was done."""

import json

from support.manager import artifact, generation

from croupier import request_ids
from croupier.request_ids import RequestId


async def test_an_entry_of_the_audit_says_what_the_request_was_called(fleet, client):
    token = request_ids.current.set(RequestId("mine"))
    await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    request_ids.current.reset(token)
    await client.set_generation(generation("a"), 0)
    *first, last = [json.loads(value)["request_id"] for value in await fleet.audit()]
    assert first == ["mine", "mine"]
    assert last not in ("", "mine")
