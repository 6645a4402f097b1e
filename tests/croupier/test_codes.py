import re
from pathlib import Path

import grpc

from croupier.codes import Code


def test_the_codes_are_those_of_grpc() -> None:
    assert {code.name: int(code) for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_native_code_has_the_same_codes() -> None:
    text = (Path(__file__).parents[2] / "croupier" / "codes.pxd").read_text()
    found = {name: int(number) for name, number in re.findall(r"^    (\w+) = (\d+)$", text, re.MULTILINE)}
    assert found == {code.name: int(code) for code in Code}
