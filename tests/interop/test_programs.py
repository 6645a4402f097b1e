"""gRPC's own programs are tried by `make interop`: here is what needs no building."""

import pytest
from interop.programs import CASES, PROGRAMS, ROOT, Programs


def test_every_script_that_builds_is_run() -> None:
    scripts = set((ROOT / "tests" / "interop").glob("build_*"))
    assert {programs.build for programs in PROGRAMS if programs.build is not None} == scripts


@pytest.mark.parametrize("programs", PROGRAMS, ids=[programs.name for programs in PROGRAMS])
def test_what_is_needed_is_packages_and_what_is_tried_is_most(programs: Programs) -> None:
    packages = programs.needed.packages.split()
    assert packages == sorted(set(packages))
    assert "And" not in packages
    assert len(set(CASES) - set(programs.cases)) <= 1
    assert len(programs.left_out) <= 1
