"""Presets: kept whole, read strictly, and only for the model they were made with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import distill
from distill import presets
from distill.bundle import open_bundle
from distill.errors import BundleError, DistillError, FileError, InvalidValue, NotFound
from distill.sidecar import ModelInfo
from distill.sliders import Sliders

Run = Callable[..., "CompletedProcess[str]"]
OTHER = ModelInfo(id="0123456789abcdef", name="other", created=None)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_PRESETS", str(tmp_path / "presets"))
    return tmp_path / "presets"


@pytest.fixture
def info(tiny: Path) -> ModelInfo:
    return open_bundle(tiny).sidecar.model


def test_what_was_saved_is_found(info: ModelInfo, folder: Path) -> None:
    wishes = {"wander": 0.5, "sliders": {"brightness": -6}, "mode": "walk"}
    saved = presets.save("dark", info, wishes)
    found = presets.find("dark", info)
    assert found == saved and found.path == folder / info.id / "dark.json"
    assert found.wishes == wishes and found.knobs == distill.Knobs.of(**wishes)
    assert presets.find(str(found.path), info).wishes == wishes  # by path too
    presets.save("still", info, {"mode": "vector", "latent": [0.5] * 8, "channels": 2, "loop": True, "seed": 3})
    assert presets.find("still", info).wishes["latent"] == (0.5,) * 8
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["dark.json", "still.json"]


def test_nothing_is_overwritten_unasked(info: ModelInfo) -> None:
    presets.save("dark", info, {"wander": 0.5})
    presets.save("light", info, {"wander": 0.1})
    with pytest.raises(FileError, match="--force"):
        presets.save("dark", info, {"wander": 0.9})
    with pytest.raises(FileError, match="exists"):
        presets.rename(presets.find("light", info), "dark")
    assert presets.find("dark", info).wishes == {"wander": 0.5}
    presets.save("dark", info, {"wander": 0.9}, force=True)
    assert presets.rename(presets.find("dark", info), "darker").wishes == {"wander": 0.9}
    with pytest.raises(NotFound):
        presets.find("dark", info)
    presets.delete(presets.find("darker", info))
    presets.delete(presets.find("light", info))
    assert list(presets.saved()) == [] and list(presets.presets_folder().iterdir()) == []


def test_a_preset_belongs_to_its_model(info: ModelInfo) -> None:
    presets.save("dark", OTHER, {"sliders": {"brightness": 1}})
    with pytest.raises(InvalidValue, match="for the model other .0123456789abcdef., not for tiny"):
        presets.find("dark", info)
    presets.save("dark", info, {"wander": 0.2})
    assert presets.find("dark", info).wishes == {"wander": 0.2}
    with pytest.raises(InvalidValue, match="several models"):
        presets.named("dark")
    assert presets.named("dark", OTHER.id).model.name == "other"


def test_an_unknown_one_is_answered_with_those_there_are(info: ModelInfo) -> None:
    presets.save("very dark", info, {"wander": 0.5})
    for call in (lambda: presets.find("very drak", info), lambda: presets.named("very drak")):
        with pytest.raises(NotFound, match="did you mean very dark"):
            call()
    with pytest.raises(NotFound, match=r"none.json"):
        presets.find("none.json", info)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a.", "a ", " a", "con", "NUL.x",
                                  "a\n", "a\0", "x" * 65, "a:b", "-a"])
def test_names_that_could_not_be_files(name: str, info: ModelInfo, folder: Path) -> None:
    with pytest.raises(InvalidValue, match="letters"):
        presets.save(name, info, {"wander": 0.5})
    assert not folder.exists()


def test_names_may_be_of_any_script(info: ModelInfo) -> None:
    for name in ("Über dunkel (2)", "暗い", "a", "1.5 + x_y-z"):
        assert presets.save(name, info, {"wander": 0.5}).name == name
    assert len(list(presets.saved(info.id))) == 4


def spoilt(facts: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**facts, **changes})


@pytest.mark.parametrize(("change", "word"), [
    (lambda f: "{", "not JSON"), (lambda f: "[]", "not a preset"), (lambda f: "\udcff", ""),
    (lambda f: spoilt(f, schema="distill.bundle"), "not a preset"),
    (lambda f: spoilt(f, schema_version="2.0.0"), "schema_version"),
    (lambda f: spoilt(f, colour="red"), "colour"),
    (lambda f: json.dumps({k: v for k, v in f.items() if k != "model"}), "model"),
    (lambda f: spoilt(f, model={"id": "../..", "name": "x"}), "id"),
    (lambda f: spoilt(f, knobs={"wandr": 1}), "wandr"),
    (lambda f: spoilt(f, knobs={"wander": 2}), "wander"),
    (lambda f: spoilt(f, knobs={"sliders": {"x": 11}}), "slider x"),
    (lambda f: json.dumps(f).replace('"wander": 0.5', '"wander": NaN'), "NaN"),
    (lambda f: json.dumps(f).replace('"knobs"', '"distill": "9", "knobs"'), "distill"),
])
def test_a_broken_file_is_named_and_spoils_nothing_else(
        change: Callable[[dict[str, Any]], str], word: str, info: ModelInfo) -> None:
    presets.save("good", info, {"wander": 0.5})
    path = presets.save("bad", info, {"wander": 0.5}).path
    path.write_bytes(change(json.loads(path.read_text())).encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError) as caught:
        presets.find("bad", info)
    assert "bad.json" in str(caught.value) and word in str(caught.value)
    found = list(presets.saved())
    assert [type(p) for p in found] == [BundleError, presets.Preset] and isinstance(found[0], DistillError)


def test_a_folder_that_cannot_be_written(info: ModelInfo, folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(FileError, match="cannot be written"):
        presets.save("dark", info, {"wander": 0.5})


def test_on_the_command_line(here: Run, tiny_copy: Path, tmp_path: Path, folder: Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_MODELS", str(tiny_copy.parent))
    call, (first, second) = here, Sliders(open_bundle(tiny_copy).sidecar).names[:2]
    saved = call("presets", "save", "dark", "tiny", "--slider", "1=-6", "--slider", f"{second}=2", "--wander", 0.6,
                 "--seed", 5, "--json")
    facts = json.loads(saved.stdout)
    assert facts["knobs"] == {"wander": 0.6, "seed": 5, "sliders": {first: -6.0, second: 2.0}}
    a, b, c = (tmp_path / f"{n}.wav" for n in "abc")
    assert call("generate", "tiny", "-o", a, "--seconds", 0.5, "--preset", "dark").returncode == 0
    call("generate", "tiny", "-o", b, "--seconds", 0.5, "--seed", 5, "--wander", 0.6, "--slider", f"{first}=-6",
         "--slider", "2=2")
    assert a.read_bytes() == b.read_bytes()
    # flags win; and what was heard can be kept
    made = call("generate", "tiny", "-o", c, "--seconds", 0.5, "--preset", "dark", "--slider", f"{first}=4", "--json")
    assert json.loads(made.stdout)["files"][0]["sliders"] == {first: 4.0, second: 2.0}
    assert call("presets", "save", "again", "tiny", "--from", c, "--wander", 0.1).returncode == 0
    shown = json.loads(call("presets", "show", "again", "--json").stdout)
    assert shown["knobs"] == {"wander": 0.1, "sliders": {first: 4.0, second: 2.0}}
    listed = json.loads(call("presets", "list", "tiny", "--json").stdout)
    assert [p["name"] for p in listed["presets"]] == ["again", "dark"] and listed["folder"] == str(folder)
    assert call("presets", "rename", "again", "bright", "tiny").returncode == 0
    assert call("presets", "delete", "bright").returncode == 0

    for code, words in ((2, ("presets", "save", "x", "tiny")), (2, ("presets", "save", "x", "tiny", "--slider", "q=1")),
                        (7, ("presets", "save", "dark", "tiny", "--wander", "1")), (3, ("presets", "show", "bright")),
                        (3, ("generate", "tiny", "-o", tmp_path / "d.wav", "--preset", "drak")),
                        (3, ("presets", "save", "x", "tiny", "--from", tmp_path / "none.wav"))):
        result = call(*words)
        assert result.returncode == code and len(result.stderr.splitlines()) == 1, result.stderr
    presets.save("foreign", OTHER, {"wander": 0.5})
    result = call("generate", "tiny", "-o", tmp_path / "d.wav", "--preset", "foreign")
    assert result.returncode == 2 and "not for tiny" in result.stderr and not (tmp_path / "d.wav").exists()


def test_save_knows_every_knob() -> None:
    """A knob that generate has and a preset cannot keep would be lost without a word."""
    import inspect

    from distill.cli.generate import generate
    from distill.cli.presets import save

    knobs = (set(distill.Knobs.__struct_fields__) | {"slider", "no_loudness"}) - {"sliders", "loudness"}
    generates, saves = (set(inspect.signature(f).parameters) for f in (generate, save))
    assert knobs <= generates and knobs <= saves
