"""Files that are regular, or an error at once; whole, or not there."""

import os
import stat
from pathlib import Path

import pytest
from support.irregular import KINDS, put

from croupier.files import (
    EVERYBODY_READS,
    open_regular,
    own_folder,
    read_regular,
    sync_folder,
    write_whole,
    writing_whole,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"", b"another"):
        write_whole(path, content)
        assert read_regular(path) == content
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    put(kind, path)
    for act in (read_regular, lambda path: open_regular(path, os.O_RDWR | os.O_CREAT)):
        with pytest.raises(OSError, match="not a regular file"):
            act(path)


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent")


def test_a_link_to_a_regular_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "link")


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_stands_in_a_files_place_or_beside_it_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "here" / "file"
    put(kind, path)
    put("fifo", path.with_name("file.part"))
    write_whole(path, b"content")
    assert read_regular(path) == b"content"
    assert not path.with_name("file.part").exists()


@pytest.mark.parametrize("mode", [0o600, EVERYBODY_READS])
def test_who_may_read_it_does_not_depend_on_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older, and everybody's")
    before = os.umask(0o177)
    try:
        write_whole(path, b"content", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_by_default_it_is_its_owners_alone(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def stumble() -> None:
        with writing_whole(path) as file:
            file.write(b"ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        stumble()
    assert read_regular(path) == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_durable_one_is_flushed_before_it_gets_its_name_and_then_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def told_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def told_replace(source: Path, target: Path) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(os, "replace", told_replace)
    write_whole(tmp_path / "file", b"content", is_durable=True)
    assert steps == ["file", "name", "folder", "folder"]


def test_a_folder_of_ones_own_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for mode in (None, 0o755, 0o777, 0o2770, 0o500, 0o700):
        if mode is not None:
            folder.chmod(mode)
        own_folder(folder)
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    # Nobody's permissions are widened.
    folder.chmod(0o500)
    own_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o500


def test_a_folder_that_is_somebody_elses_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError("not yours")

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    own_folder(tmp_path)
    assert f"others may look into {tmp_path}: not yours" in caplog.text


def test_names_may_be_flushed_later_with_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bool] = []
    fsync = os.fsync

    def told(descriptor: int) -> None:
        flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", told)
    write_whole(tmp_path / "file", b"content", is_durable=True, names_later=True)
    assert flushed == [False]
    sync_folder(tmp_path)
    assert flushed == [False, True]
