"""What the demo does about container engines where none is needed to tell."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from scripts._demo.containers import (
    APPLETS,
    RECORD,
    NoContainersError,
    borrow,
    find_busybox,
    give_back,
    root_archive,
)

PORT = 9


def test_without_an_engine_the_remedy_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoContainersError, match="no container engine listens; start Podman"):
        borrow(tmp_path, [str(tmp_path / "absent.sock")], PORT)
    assert not (tmp_path / RECORD).exists()


@pytest.mark.parametrize(
    ("user", "command"),
    [(0, "systemctl start podman.socket"), (1_000, "systemctl --user start podman.socket")],
)
def test_the_remedy_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, command: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(NoContainersError) as caught:
        borrow(tmp_path, [], PORT)
    assert command in str(caught.value)


def test_a_socket_in_a_folder_of_roots_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_socket", refuse)
    with pytest.raises(NoContainersError, match="no container engine listens"):
        borrow(tmp_path, ["/run/podman/podman.sock"], PORT)


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NoContainersError, match=r"dead\.sock"):
        borrow(tmp_path, [str(path)], PORT)


def test_where_nothing_was_borrowed_nothing_is_given_back(tmp_path: Path) -> None:
    assert give_back(tmp_path) == ""


def test_what_can_not_be_removed_is_told(tmp_path: Path) -> None:
    record = {"socket": str(tmp_path / "gone.sock"), "owner": "ab", "image": "localhost/demo:1"}
    (tmp_path / RECORD).write_text(json.dumps(record))
    left = give_back(tmp_path)
    assert "gone.sock" in left
    assert "workdeed.owner" in left
    assert "localhost/demo:1" in left
    # The record stays, for another try.
    assert (tmp_path / RECORD).exists()


def test_a_busybox_that_needs_libraries_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "busybox").symlink_to(shell)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_busybox() is None


def test_a_script_named_busybox_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "busybox"
    script.write_text("#!/bin/sh\necho sh httpd mkdir\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_busybox() is None


def test_the_root_holds_the_program_under_all_names(tmp_path: Path) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF")
    with tarfile.open(fileobj=io.BytesIO(root_archive(program))) as tar:
        main = tar.getmember("bin/busybox")
        assert main.mode == 0o755
        content = tar.extractfile(main)
        assert content is not None
        assert content.read() == b"\x7fELF"
        links = {one.name: one.linkname for one in tar.getmembers() if one.issym()}
    assert links == {f"bin/{name}": "busybox" for name in APPLETS}
