"""Files that appear whole or not at all, and the names that the package promises."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

import distill_train
from distill.errors import FileError
from distill_train.files import atomic_write, remove_partials
from distill_train.progress import Progress, clock


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    with atomic_write(target) as stream:
        stream.write(b"content")
        assert not target.exists()
    assert target.read_bytes() == b"content"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    if os.name == "posix":
        plain = tmp_path / "plain"
        plain.touch()
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_write(target) as stream:
        stream.write(b"new")
        raise error
    assert target.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_refuses_is_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot write"), atomic_write(tmp_path / "file" / "under"):
        pass
    with pytest.raises(FileError, match="No space"), atomic_write(tmp_path / "other"):
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.pt.x1.partial").touch()
    (tmp_path / "mine.partial").touch()
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.partial"]


def test_public_names_are_sorted_and_there() -> None:
    assert distill_train.__all__ == sorted(distill_train.__all__)
    assert all(getattr(distill_train, name) for name in distill_train.__all__)
    with pytest.raises(AttributeError):
        _ = distill_train.nonsense


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_no_colour_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for colour in (True, False):
        if not colour:
            monkeypatch.setenv("NO_COLOR", "1")
        terminal = Terminal()
        progress = Progress(terminal)
        progress.status("x" * 100, 0.5)
        progress.note("done")
        text = terminal.getvalue()
        assert ("\x1b[36m" in text) == colour
        assert "━" * 10 in text and "x" * 30 in text and "x" * 40 not in text
        assert text.endswith("\r\x1b[Kdone\n")


def test_a_log_gets_plain_lines_now_and_then() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    for _ in range(100):
        progress.status("step")
    progress.note("note")
    progress.close()
    assert stream.getvalue() == "note\n"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75.4, "1:15"), (3725, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
