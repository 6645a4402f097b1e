import pytest
from typer.testing import CliRunner

from bench import route
from bench.__main__ import app


@pytest.mark.parametrize("cells", ["", "0", "4,0", "4,,16", "-4", "four", "4;16", "\u0664x"])
def test_numbers_of_cells_that_are_none_are_refused(cells: str) -> None:
    ended = CliRunner().invoke(app, ["route", f"--cells={cells}"])
    assert ended.exit_code == 2
    assert "--cells" in ended.output


def test_cells_are_measured_in_the_order_given_and_each_number_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[route.Plan] = []
    monkeypatch.setattr(route, "run", lambda plan, json: not plans.append(plan))
    assert CliRunner().invoke(app, ["route", "--cells", "16,4,16,256"]).exit_code == 0
    assert plans[0].cells == [16, 4, 256]
