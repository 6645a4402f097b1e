"""What a process says on its admin port."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from croupier.telemetry.admin import Admin, View


def ask(listen: str, path: str, /, **query: str) -> tuple[int, str]:
    """The status and the body of a page."""
    url = f"http://{listen}{path}?{urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def told(debug: dict[str, View], view: str, /, **query: str) -> Any:
    """What a view says, through JSON as it travels."""
    admin = Admin()
    admin.debug = debug
    answer = await admin.answer(f"/debug/{view}", urlencode(query))
    assert answer is not None
    assert answer.status == "200 OK", answer.body
    return json.loads(answer.body)


class AdminPort:
    """Asks a process that may be this one, whose event loop goes on meanwhile."""

    def __init__(self, listen: str) -> None:
        self.listen = listen

    async def page(self, path: str, /, **query: str) -> tuple[int, str]:
        status, body = await asyncio.to_thread(ask, self.listen, path, **query)
        return status, body.strip()

    async def is_there(self) -> bool:
        try:
            return bool(await self.page("/healthz"))
        except OSError:
            return False

    async def view(self, view: str, /, **query: str) -> Any:
        """What a view tells; an error's message where it tells none."""
        _, body = await self.page(f"/debug/{view}", **query)
        told = json.loads(body)
        return told["error"]["message"] if isinstance(told, dict) and "error" in told else told
