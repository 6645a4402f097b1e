import json
import os
import shutil
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import processes
from bench.serving import play, running
from bench.serving.aio import Aio
from bench.serving.models import Models
from bench.serving.peer import Peer, Wire
from bench.serving.play import Plan
from bench.serving.running import Bounds, is_alive


class Liar(Aio):
    """Has in place of model 1 model 2."""

    def __init__(self) -> None:
        super().__init__("liar", "lightgbm", "none")

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        argv = list(super().argv(models, home, port, count))
        folder = home / "models"
        shutil.copytree(argv[-2], folder)
        shutil.copy(folder / "m2.txt", folder / "m1.txt")
        argv[-2] = str(folder)
        return argv


def _children() -> set[int]:
    """Of this process, which may have some of other tests."""
    return {stat.pid for stat in processes.stats() if stat.parent == os.getpid()}


class Ended(Aio):
    """Has whoever starts it ended by TERM as soon as it is there."""

    def __init__(self) -> None:
        super().__init__("ended", "lightgbm", "none")
        self.server = 0
        self._others = _children()

    def wire(self, models: Models) -> Wire:
        (self.server,) = _children() - self._others
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start()
        return super().wire(models)


class Absent(Aio):
    def missing(self) -> str:
        return "a thing"


class Fixed(Aio):
    """Is told anew how many models there are."""

    grows = False


def plan(*peers: str, counts: Sequence[int] = (3,), patience: float = 60.0) -> Plan:
    return Plan(peers, 3, 1, 0.2, 20.0, counts, Bounds(4_096.0, patience))


@pytest.mark.system
def test_wrong_answers_are_counted_and_fail_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "ALL", {"liar": Liar()})
    file = tmp_path / "serving.json"
    assert not play.run(plan("liar"), file)
    (row,) = json.loads(file.read_text())["rows"]
    assert row["wrong"] > 0
    assert row["failures"] == 0
    assert row["asked"] > 2 * row["wrong"]
    assert row["predictions_per_s"] > 0
    assert row["half_load"]["rate"] == pytest.approx(row["predictions_per_s"] / 2)
    assert row["same_rate"]["rate"] == 20.0
    assert row["memory_mib"]["3"] > 10


@pytest.mark.system
@pytest.mark.parametrize(("kind", "starts"), [(Aio, [3, 3, 9]), (Fixed, [3, 3, 4, 9])])
def test_memory_with_more_models_is_of_the_same_process_if_it_can_find_new_ones(
    kind: type[Aio], starts: Sequence[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def start(peer: Peer, models: Models, count: int, *others: Any) -> Any:
        started.append(count)
        return running.started(peer, models, count, *others)

    monkeypatch.setattr(play, "ALL", {"one": kind("one", "lightgbm", "none")})
    monkeypatch.setattr(play, "started", start)
    file = tmp_path / "serving.json"
    assert play.run(plan("one", counts=(9, 4)), file)
    (row,) = json.loads(file.read_text())["rows"]
    assert started == starts
    assert row["memory_mib"].keys() == {"4", "9"}
    assert min(row["memory_mib"].values()) > 10
    assert row["cold_p99_ms"] > 0
    assert (row["failures"], row["wrong"]) == (0, 0)


@pytest.mark.system
def test_of_a_server_that_is_stopped_it_is_said_with_how_many_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "ALL", {"late": Aio("late", "lightgbm", "none")})
    file = tmp_path / "serving.json"
    assert play.run(plan("late", counts=(4, 9), patience=0.0), file)
    (row,) = json.loads(file.read_text())["rows"]
    assert row["stopped"] == "memory: 4 models: 0 s were over after 0"


@pytest.mark.system
def test_a_bench_that_is_ended_leaves_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Ended()
    monkeypatch.setattr(play, "ALL", {"ended": peer})
    with pytest.raises(KeyboardInterrupt):
        play.run(plan("ended"), None)
    assert peer.server
    assert not is_alive(peer.server)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_not_installed_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(play, "ALL", {"absent": Absent("absent", "lightgbm", "")})
    assert play.run(plan("absent"), None)
    assert "absent is left out: a thing is not installed" in " ".join(capsys.readouterr().out.split())
