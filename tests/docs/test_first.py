import pytest
from blocks.first import COMMANDS, block, minutes


@pytest.mark.parametrize(
    ("seconds", "said"), [(1.0, "1 minute"), (60.0, "1 minute"), (60.1, "2 minutes"), (754.0, "13 minutes")]
)
def test_minutes_are_rounded_up(seconds: float, said: str) -> None:
    assert said == minutes(seconds)


def test_a_command_stands_with_its_minutes_if_they_are_known() -> None:
    lines = block({"demo": 100.0}).splitlines()
    assert lines == [
        "```sh",
        f"make demo      # 2 minutes: {COMMANDS['demo']}",
        f"make test      # {COMMANDS['test']}",
        "```",
    ]
