"""`croupierctl cells warm`: what the cell is asked, and what is told of its answer."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from support.certificates import Authority
from support.ports import free_port
from support.serving import serving
from support.version_manager_fake import cell
from typer.testing import CliRunner

from croupier.errors import TooLarge, Unavailable
from croupier.items import item_status
from croupier.settings import ServerTls
from croupier.transport.serving import Server
from croupierctl.app import app
from croupierctl.servers import Servers, begin, current
from croupierctl.warm import _ask_cell
from protos.cell.v1 import cell_pb2 as pb

FIRST, SECOND = bytes(32), b"\xab" * 32


class WarmingCell:
    """A cell's port; `answers` by artifact, all others are resident. `asked` has the requests."""

    def __init__(self, manager):
        self.manager = manager
        self.asked = []
        self.answers = {}

    async def warm(self, message, context):
        request = pb.WarmRequest.FromString(message)
        self.asked.append(request)
        resident = pb.Warmed(state=pb.Warmed.RESIDENT)
        found = [(digest, self.answers.get(digest, resident)) for digest in request.artifacts]
        answer = pb.WarmResponse(
            artifacts=[
                pb.Warmed(artifact=digest, state=one.state, status=one.status) for digest, one in found
            ]
        )
        return answer.SerializeToString()

    @asynccontextmanager
    async def serving(self):
        server = Server()
        server.add_unary("/croupier.cell.v1.Cell/Warm", self.warm)
        async with serving(server) as address:
            self.manager.cells = [cell(1, "zone-a")]
            self.manager.cells[0].address = address
            yield self

    async def run(self, *words, root=()):
        line = ["--manager", self.manager.target, *root, "cells", "warm", "cell-1", *words]
        return await asyncio.to_thread(CliRunner().invoke, app, line)


@pytest.fixture
async def warming(manager):
    async with WarmingCell(manager).serving() as opened:
        yield opened


async def test_a_cell_is_asked_for_all_at_once(warming):
    done = await warming.run(FIRST.hex(), SECOND.hex().upper(), "--pin", "--seconds", "2.5", "--json")
    assert warming.asked == [pb.WarmRequest(artifacts=[FIRST, SECOND], pin=True, wait_seconds=2.5)]
    assert done.exit_code == 0
    assert json.loads(done.stdout) == [
        {"artifact": "00" * 32, "state": "resident", "why": ""},
        {"artifact": "ab" * 32, "state": "resident", "why": ""},
    ]


async def test_what_still_loads_is_no_failure(warming):
    warming.answers[SECOND] = pb.Warmed(state=pb.Warmed.LOADING)
    done = await warming.run(FIRST.hex(), SECOND.hex(), "--seconds", "0")
    assert (done.exit_code, warming.asked[0].wait_seconds) == (0, 0.0)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["state", "resident", "loading"]


async def test_one_that_cannot_be_loaded_is_exit_code_1_and_says_why(warming):
    failed = pb.Warmed(state=pb.Warmed.FAILED, status=item_status(TooLarge("it needs 3 GB")))
    warming.answers[FIRST] = failed
    done = await warming.run(FIRST.hex(), SECOND.hex())
    assert done.exit_code == 1
    assert "it needs 3 GB" in done.stdout
    assert "resident" in done.stdout


async def test_a_cell_with_tls_is_shown_the_operators_certificate(warming, tmp_path):
    authority = Authority(tmp_path)
    own, operator = authority.issue("cell"), authority.issue("operator")
    server = Server(tls=ServerTls(own.certificate, own.key, authority.certificate))
    server.add_unary("/croupier.cell.v1.Cell/Warm", warming.warm)
    address = await server.start("127.0.0.1:0", [])
    request = pb.WarmRequest(artifacts=[FIRST])
    before = current()
    try:
        begin(Servers(ca=authority.certificate, certificate=operator.certificate, key=operator.key))
        answer = await _ask_cell(address, request, 10.0)
        assert [one.artifact for one in answer.artifacts] == [FIRST]
        begin(Servers(ca=authority.certificate))
        with pytest.raises(Unavailable):
            await _ask_cell(address, request, 10.0)
    finally:
        begin(before)
        await server.stop(0)
    assert warming.asked == [request]


@pytest.mark.parametrize("seconds", ["-1", "soon"])
async def test_a_time_that_is_none_is_a_wrong_command_line(warming, seconds):
    assert (await warming.run(FIRST.hex(), "--seconds", seconds)).exit_code == 2
    assert warming.asked == []


def test_what_cannot_be_warmed(run, manager):
    manager.cells = [cell(1, "zone-a")]
    manager.cells[0].address = f"127.0.0.1:{free_port()}"
    assert "no cell x" in run("cells", "warm", "x", "01" * 32, code=1).err
    assert "64 digits" in run("cells", "warm", "cell-1", "0102", code=2).err
    assert "cannot connect" in run("cells", "warm", "cell-1", "01" * 32, code=1).err


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
def test_a_time_that_is_none_is_a_wrong_call(seconds):
    asked = CliRunner().invoke(app, ["cells", "warm", "cell-1", FIRST.hex(), "--seconds", seconds])
    assert (asked.exit_code, "seconds" in asked.output) == (2, True)
