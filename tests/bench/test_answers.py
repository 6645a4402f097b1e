"""Models with features in Redis: every answer is the library's on what the reply says that it used."""

import asyncio
import logging
import os
from pathlib import Path

import pytest
from support.redis import RedisServer

from bench import answers

pytestmark = pytest.mark.system

_log = logging.getLogger(__name__)
TENANTS = int(os.environ.get("CROUPIER_TEST_TENANTS", "100"))


async def test_answers_are_the_librarys_on_the_features_that_replies_say_they_used(tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "redis") as server:
        seen = await asyncio.to_thread(answers.run, tmp_path / "stack", server.url, TENANTS)
    _log.info("%s", seen)
    assert seen.passed, seen
    assert seen.answers == TENANTS * answers.ENTITIES
    assert seen.values.total() == 8 * seen.answers
    for planted in ("default missing", "default stale"):
        assert 0.005 < seen.values[planted] / seen.values.total() < 0.015
    # Were other values used than those that replies say, it would show.
    assert seen.telling > seen.defaulted / 2
