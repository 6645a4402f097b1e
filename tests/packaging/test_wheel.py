"""What the wheel contains: the packages that pyproject.toml lists, whole, and nothing else."""

import configparser
import re
import sys
import tomllib
import zipfile
from pathlib import Path

from support.wheels import make_environment

ROOT = Path(__file__).parents[2]


def packaged_files() -> set[str]:
    """Every source file that belongs into the wheel, from the list in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = [ROOT / package.replace(".", "/") for package in project["tool"]["setuptools"]["packages"]]
    kinds = (".py", ".pyi", ".proto", ".typed")
    return {
        str(path.relative_to(ROOT)) for folder in folders for path in folder.iterdir() if path.suffix in kinds
    }


def test_every_package_of_the_tree_is_listed() -> None:
    tops = ("cell", "croupier", "croupierctl", "logger", "protos", "router", "sharding", "version_manager")
    in_tree = {str(path.relative_to(ROOT)) for top in tops for path in (ROOT / top).rglob("*.py")}
    assert {name for name in packaged_files() if name.endswith(".py")} == in_tree


def test_the_wheel_holds_the_listed_packages_and_nothing_else(built_wheel: Path) -> None:
    with zipfile.ZipFile(built_wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name for name in held if not name.endswith(".so")} == packaged_files()


def test_the_wheel_says_who_it_is(built_wheel: Path) -> None:
    with zipfile.ZipFile(built_wheel) as wheel:
        (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        text = wheel.read(metadata).decode()
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    assert "License-Expression: Apache-2.0" in text


def test_the_client_is_one_package_of_pure_python(client_wheel: Path) -> None:
    folder = ROOT / "client" / "croupier_client"
    in_tree = {f"croupier_client/{path.relative_to(folder)}" for path in folder.rglob("*.*")}
    with zipfile.ZipFile(client_wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        text = wheel.read(metadata).decode()
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    assert held == {name for name in in_tree if not name.endswith(".pyc")}
    assert client_wheel.name.endswith("-py3-none-any.whl")
    assert set(re.findall(r"^Requires-Dist: ([\w-]+)", text, re.MULTILINE)) == {"grpcio", "protobuf"}


def test_the_harness_is_one_package_of_pure_python(harness_wheel: Path) -> None:
    folder = ROOT / "bench" / "harness" / "croupier_bench"
    in_tree = {f"croupier_bench/{path.relative_to(folder)}" for path in folder.rglob("*.*")}
    with zipfile.ZipFile(harness_wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        text = wheel.read(metadata).decode()
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    assert held == {name for name in in_tree if not name.endswith(".pyc")}
    assert harness_wheel.name.endswith("-py3-none-any.whl")
    assert "Requires-Dist: croupier==0.1.0\n" in text


def test_all_are_of_one_release() -> None:
    names = (".", "client", "bench/harness")
    projects = [tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"] for name in names]
    (release,) = {project["version"] for project in projects}
    assert f"croupier=={release}" in projects[2]["dependencies"]


def test_the_harness_runs_where_the_wheels_alone_are(
    built_wheel: Path, client_wheel: Path, harness_wheel: Path, tmp_path: Path
) -> None:
    """Of the libraries only those that its command line is made of: the others are known to work together."""
    environment = make_environment(sys.executable, tmp_path / "venv")
    environment.install("--no-deps", built_wheel, client_wheel, harness_wheel)
    environment.install("rich", "typer<0.29")
    program = environment.folder / "bin" / "croupier-bench"
    said = environment.run(program, "--help")
    for command in ("run", "search", "compare", "replay"):
        assert f"\n  {command} " in said
    both = environment.run("-m", "croupierctl", "bench", "--help")
    assert "search" in both


def test_a_python_has_its_own_wheel() -> None:
    """One builder for all would give each what the Python of tox alone can load; tox makes one for each."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    sections = [name for name in tox.sections() if {"wheel_build_env", "package_env"} & set(tox[name])]
    assert tox["testenv"]["package"] == "wheel"
    assert sections == []
