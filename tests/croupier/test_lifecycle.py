"""The life of a process, in processes."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE, Process

import pytest

from croupier.lifecycle import Lifecycle

PREAMBLE = """
import asyncio, logging, sys
from contextlib import asynccontextmanager
from croupier.errors import Unavailable
from croupier.lifecycle import run

logging.basicConfig(level=logging.INFO, format="%(message)s")

@asynccontextmanager
async def part(name):
    print("open", name, flush=True)
    try:
        yield
    finally:
        print("close", name, flush=True)

async def forever():
    try:
        await asyncio.Event().wait()
    finally:
        print("task ended", flush=True)
"""


async def start(main: str) -> Process:
    code = PREAMBLE + textwrap.dedent(main) + "\nsys.exit(run(main))\n"
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE, stderr=PIPE)


async def finish(process: Process) -> tuple[int | None, list[str], str]:
    async with asyncio.timeout(10):
        out, err = await process.communicate()
    return process.returncode, out.decode().splitlines(), err.decode()


async def read_line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(10):
        return (await process.stdout.readline()).decode().strip()


SERVER = """
async def main(life):
    async with part("a"), part("b"):
        life.spawn(forever(), "forever")
        life.ready("croupier-test on 127.0.0.1:1")
        await life.stopped()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_in_order(number: signal.Signals) -> None:
    process = await start(SERVER)
    assert await read_line(process) == "open a"
    assert await read_line(process) == "open b"
    assert await read_line(process) == "croupier-test on 127.0.0.1:1 ready"
    process.send_signal(number)
    said = f"stopping: {number.name}\n"
    assert await finish(process) == (0, ["close b", "close a", "task ended"], said)


async def test_a_failed_task_stops_it_with_1() -> None:
    process = await start("""
    async def broken():
        raise RuntimeError("broken part")

    async def main(life):
        async with part("a"):
            life.ready("x")
            life.spawn(broken(), "the broken part")
            await life.stopped()
    """)
    code, out, err = await finish(process)
    assert (code, out) == (1, ["open a", "x ready", "close a"])
    assert "the broken part failed" in err
    assert "stopping: the broken part failed" in err
    assert "RuntimeError: broken part" in err


async def test_a_task_that_fails_while_it_is_stopped() -> None:
    process = await start("""
    async def stubborn():
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("could not clean up")

    async def main(life):
        life.spawn(stubborn(), "stubborn")
        await asyncio.sleep(0)
        life.stop()
        await life.stopped()
    """)
    code, _, err = await finish(process)
    assert code == 1
    assert "could not clean up" in err


async def test_a_task_that_ends_in_peace_stops_nothing() -> None:
    process = await start("""
    async def brief():
        print("done", flush=True)

    async def main(life):
        await life.spawn(brief(), "brief")
        life.ready("x")
        await life.stopped()
    """)
    assert await read_line(process) == "done"
    assert await read_line(process) == "x ready"
    process.terminate()
    assert await finish(process) == (0, [], "stopping: SIGTERM\n")


async def test_an_error_that_an_operator_can_mend_is_one_sentence() -> None:
    process = await start("""
    async def main(life):
        async with part("a"):
            raise Unavailable("etcd does not answer")
    """)
    assert await finish(process) == (1, ["open a", "close a"], "stopped by an error: etcd does not answer\n")


async def test_a_bug_shows_where_it_is() -> None:
    process = await start("""
    async def main(life):
        {}["nothing"]
    """)
    code, _, err = await finish(process)
    assert code == 1
    assert "Traceback" in err
    assert "KeyError: 'nothing'" in err


WAITING = """
async def main(life):
    async with part("a"):
        {spawn}
        await asyncio.Event().wait()
        life.ready("x")
        await life.stopped()
"""


async def test_a_signal_ends_a_start_that_waits() -> None:
    process = await start(WAITING.format(spawn=""))
    assert await read_line(process) == "open a"
    process.terminate()
    assert await finish(process) == (0, ["close a"], "stopping: SIGTERM\n")


async def test_a_failed_task_ends_a_start_that_waits() -> None:
    failing = "life.spawn(asyncio.wait_for(asyncio.Event().wait(), 0), 'impatient')"
    code, out, err = await finish(await start(WAITING.format(spawn=failing)))
    assert (code, out) == (1, ["open a", "close a"])
    assert "impatient failed" in err


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    process = await start("""
    async def main(life):
        raise asyncio.CancelledError
    """)
    code, _, err = await finish(process)
    assert code == 1
    assert "CancelledError" in err


class TestInOneLoop:
    async def test_stop_before_stopped(self) -> None:
        life = Lifecycle()
        life.stop()
        await life.stopped()
        assert not life.failed

    async def test_the_first_reason_is_the_one(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        life = Lifecycle()
        life.stop("SIGTERM")
        life.stop("a part failed")
        assert caplog.messages == ["stopping: SIGTERM"]

    async def test_close_cancels_and_waits(self) -> None:
        life = Lifecycle()
        ended = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append(True)

        task = life.spawn(work(), "work")
        await asyncio.sleep(0)
        await life.close()
        assert task.cancelled()
        assert ended == [True]
        assert not life.failed

    async def test_a_cancelled_task_is_no_failure(self) -> None:
        life = Lifecycle()
        life.spawn(asyncio.Event().wait(), "wait").cancel()  # type: ignore[arg-type]
        await life.close()
        assert not life.failed

    async def test_a_start_that_is_ready_is_not_cancelled(self, capsys: pytest.CaptureFixture[str]) -> None:
        life = Lifecycle()

        async def main() -> None:
            life.ready("x")
            life.stop()
            await asyncio.sleep(0)
            await life.stopped()

        await life.start(main())
        assert capsys.readouterr().out == "x ready\n"
