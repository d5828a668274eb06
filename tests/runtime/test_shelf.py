"""The model library: only whole models come in, only whole ones are seen, and none is lost by accident."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import distill
from distill import files, shelf
from distill.errors import BundleError, FileError, InvalidValue, NotFound

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def own() -> list[str]:
    return [e.name for e in shelf.entries() if not e.built_in]


def test_what_was_added_plays(tiny: Path, folder: Path) -> None:
    added = shelf.add(tiny)
    assert (added.name, added.path, added.built_in, added.error) == ("tiny", folder / "tiny", False, None)
    assert sorted(p.name for p in added.path.iterdir()) == sorted(p.name for p in tiny.iterdir())
    assert all((added.path / p.name).read_bytes() == p.read_bytes() for p in tiny.iterdir())
    assert len(distill.load("tiny").generate(0.1)) == 1600
    assert shelf.add(tiny, "bells 2").name == "bells 2" and own() == ["bells 2", "tiny"]
    assert shelf.by_id(added.sidecar.model.id) is not None and shelf.by_id("0" * 16) is None  # type: ignore[union-attr]
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_a_lone_decoder_becomes_a_bundle(tiny: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone.onnx"
    shutil.copyfile(tiny / "decoder.onnx", lone)
    added = shelf.add(lone, "lone")
    assert sorted(p.name for p in added.path.iterdir()) == ["decoder.onnx", "decoder.onnx.json"]
    alone = distill.load(lone).generate(0.2, seed=1)
    assert (distill.load("lone").generate(0.2, seed=1) == alone).all()


@pytest.mark.parametrize("spoil", [
    lambda b: (b / "decoder.onnx").write_bytes(b"x"), lambda b: (b / "golden.npz").unlink(),
    lambda b: (b / "decoder.onnx.json").write_text("{}"), lambda b: (b / "decoder.onnx.json").unlink()])
def test_what_is_not_whole_stays_outside(tiny_copy: Path, folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(tiny_copy)
    with pytest.raises(BundleError):
        shelf.add(tiny_copy)
    assert not folder.exists() or list(folder.iterdir()) == []


def test_names_are_not_taken_twice(tiny: Path, tiny_copy: Path, folder: Path) -> None:
    shelf.add(tiny)
    with pytest.raises(FileError, match="--name"):
        shelf.add(tiny)
    with pytest.raises(InvalidValue, match="already"):
        shelf.add(folder / "tiny", force=True)
    (tiny_copy / "README.md").write_text("newer")
    shelf.add(tiny_copy, force=True)
    assert (folder / "tiny" / "README.md").read_text() == "newer" and own() == ["tiny"]
    with pytest.raises(InvalidValue, match="built-in"):
        shelf.add(tiny, "vibraphone")
    (folder / "mine").mkdir()
    with pytest.raises(FileError, match="no model"):
        shelf.add(tiny, "mine", force=True)
    for name in ("../x", "", "a/b", ".x"):
        with pytest.raises(InvalidValue, match="letters"):
            shelf.add(tiny, name)
    with pytest.raises(NotFound):
        shelf.add(folder / "nowhere")


def test_an_add_that_fails_keeps_the_older_model(tiny: Path, tiny_copy: Path, folder: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.add(tiny)
    real = files.os.replace

    def fails(source: Any, target: Any) -> None:
        if Path(target) == folder / "tiny" and Path(source).name.endswith(".partial"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", fails)
    (tiny_copy / "README.md").write_text("newer")
    with pytest.raises(FileError, match="No space left"):
        shelf.add(tiny_copy, force=True)
    assert (folder / "tiny" / "README.md").read_bytes() == (tiny / "README.md").read_bytes()
    assert [p.name for p in folder.iterdir()] == ["tiny"]


def test_a_copy_in_the_making_is_not_listed(tiny: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copytree(tiny, folder / ".tiny.abc.partial")
    assert own() == []
    seen: list[list[str]] = []

    def watched() -> Iterator[None]:
        with files.whole_folder(folder / "new") as work:
            shutil.copytree(tiny, work, dirs_exist_ok=True)
            seen.append(own())
            yield

    list(watched())
    assert seen == [[]] and own() == ["new"]


def test_removing(tiny: Path, folder: Path, tmp_path: Path) -> None:
    shelf.add(tiny)
    (folder / "linked").symlink_to(shutil.copytree(tiny, tmp_path / "elsewhere"))
    (folder / "broken").mkdir()
    (folder / "broken" / "decoder.onnx.json").write_text("{")
    assert [(e.name, e.error is None) for e in shelf.entries() if not e.built_in] == [
        ("broken", False), ("linked", True), ("tiny", True)]
    for name in ("linked", "broken", "tiny"):
        shelf.remove(name)
    assert list(folder.iterdir()) == [] and (tmp_path / "elsewhere" / "decoder.onnx").is_file()
    with pytest.raises(NotFound, match="no model 'tiny'"):
        shelf.remove("tiny")
    with pytest.raises(NotFound):
        shelf.remove("../elsewhere")


def test_built_in_models_stay(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny, tmp_path / "inside" / "bells")
    for module in (shelf, distill.bundle):
        monkeypatch.setattr(module, "built_in_folder", lambda: tmp_path / "inside")
    with pytest.raises(InvalidValue, match="built in"):
        shelf.remove("bells")
    with pytest.raises(InvalidValue, match="built-in"):
        shelf.add(tiny, "bells")
    assert (tmp_path / "inside" / "bells" / "decoder.onnx").is_file()


@pytest.mark.parametrize(("text", "found"), [("tin", True), ("CC0 Bright", True), ("tone_0", True), ("16000", True),
                                             ("45 notes", False), ("no-such-thing", False)])
def test_search_wants_every_word(tiny: Path, text: str, found: bool) -> None:
    shelf.add(tiny)
    assert [e.name for e in shelf.search(text) if not e.built_in] == (["tiny"] if found else [])


def test_on_the_command_line(here: Run, tiny: Path, folder: Path) -> None:
    def call(*words: object, **options: Any) -> CompletedProcess[str]:
        return here("models", *words, **options)

    assert json.loads(call("add", tiny, "--name", "bells", "--json").stdout)["path"] == str(folder / "bells")
    listed = json.loads(call("--json").stdout)
    assert listed["folder"] == str(folder)
    assert {"name", "path", "built_in", "id", "sample_rate", "bytes", "license", "error"} == set(listed["models"][0])
    assert "bells" in call().stdout and "bells" in call("search", "bright").stdout
    assert json.loads(call("search", "nothing-like-it", "--json").stdout)["models"] == []
    shown = call("show", "bells").stdout
    controls = json.loads(call("show", "bells", "--json").stdout)["sidecar"]["controls"]
    assert str(folder) in shown and all(control["label"] in shown for control in controls)
    for answer, gone in (("n\n", False), ("\n", False), ("y\n", True)):
        result = call("remove", "bells", input=answer)
        assert result.returncode == 0 and (folder / "bells").exists() != gone and "[y/N]" in result.stderr
    for code, words in ((3, ("remove", "bells", "--yes")), (3, ("show", "bells")), (2, ("remove",)),
                        (2, ("search", " ")), (3, ("add", "nowhere")), (2, ("--json", "show", "bells"))):
        result = call(*words)
        assert result.returncode == code and len(result.stderr.splitlines()) == 1 and not result.stdout, result.stderr
    call("add", tiny)
    result = call("remove", "tiny")  # and nobody answers
    assert result.returncode == 2 and "--yes" in result.stderr and (folder / "tiny").is_dir()
    assert call("remove", "tiny", "--yes").returncode == 0 and not (folder / "tiny").exists()
