"""The sidecar is read strictly: whatever is wrong with it is named, and nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from distill import sidecar
from distill.errors import BundleError
from distill.sidecar import dump, json_schema, parse, strict_json

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def facts(tiny: Path) -> dict[str, Any]:
    return json.loads((tiny / "decoder.onnx.json").read_text())


def refusal(facts: dict[str, Any]) -> str:
    with pytest.raises(BundleError) as caught:
        parse(json.dumps(facts), "x.json")
    return str(caught.value)


def test_round_trip_is_byte_identical(tiny: Path) -> None:
    text = (tiny / "decoder.onnx.json").read_bytes()
    assert dump(parse(text, "x")) == text


def test_every_key_is_required(facts: dict[str, Any]) -> None:
    optional = {"parity"}  # only graphs have one

    def visit(node: Any, path: str) -> None:
        if isinstance(node, list):
            for item in node[:1]:
                visit(item, path)
        if not isinstance(node, dict) or path.endswith("libraries"):
            return
        for key in list(node):
            if key in optional:
                continue
            value = node.pop(key)
            message = refusal(facts)
            assert key in message or "Incompatible" in message, f"{path}.{key}: {message}"
            node[key] = value
            visit(value, f"{path}.{key}")

    visit(facts, "$")
    parse(json.dumps(facts), "restored")


@pytest.mark.parametrize("group", ["", "stft", "latent", "chunking", "normalization"])
def test_unknown_key_is_named(facts: dict[str, Any], group: str) -> None:
    (facts[group] if group else facts)["hopp_length"] = 1
    message = refusal(facts)
    assert "hopp_length" in message and "x.json" in message
    assert not group or group in message


def test_duplicate_key_is_named(facts: dict[str, Any]) -> None:
    text = json.dumps(facts).replace('"n_fft":', '"n_fft": 4096, "n_fft":')
    for form in (text, text.encode()):
        with pytest.raises(BundleError, match="n_fft. stands twice"):
            parse(form, "x")


@pytest.mark.parametrize("text", [
    b'{"a": 1, "a": 2}', b'{"b": [{"a": 1, "a": 2}]}', b'{"a": 1, "\\u0061": 2}', b'{"c": {"a": {}, "a": "\\":"}}',
])
def test_a_key_that_stands_twice_anywhere(text: bytes) -> None:
    with pytest.raises(BundleError, match="`a` stands twice"):
        strict_json(text, "x.json")


@pytest.mark.parametrize("text", [b'{"a": "b\\": 1"}', b'{"a": [1, "x", {"b": 2}], "c": {"a": 3}}', b'[[1, 2.5], []]'])
def test_what_only_looks_like_a_key_twice_is_read(text: bytes) -> None:
    assert strict_json(text, "x.json") == json.loads(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_non_finite_number_is_named(facts: dict[str, Any], number: str) -> None:
    text = json.dumps(facts).replace('"floor_db": ', f'"floor_db": {number}, "old": ')
    with pytest.raises(BundleError, match=number):
        parse(text, "x")


@pytest.mark.parametrize(("group", "key", "value"), [
    ("normalization", "mean", [0.0]),
    ("normalization", "std", [1.0, 0.0]),
    ("latent", "mean", [0.0]),
    ("latent", "dim", 3),
    ("latent", "rate_hz", 1.0),
    ("stft", "n_fft", 1000),
    ("stft", "hop_length", 100),
    ("stft", "win_length", 64),
    ("stft", "window", "boxcar"),
    ("stft", "center", False),
    ("bands", "n_mels", 0),
    ("bands", "axis", "mel"),
    ("audio", "sample_rate_hz", "48000"),
    ("chunking", "recommended_chunk", 0),
    ("golden", "max_error", -1.0),
])
def test_wrong_values_are_named(facts: dict[str, Any], group: str, key: str, value: Any) -> None:
    facts[group][key] = value
    message = refusal(facts)
    assert key in message or key == "dim" and "latent" in message, message


def test_paths_may_not_leave_the_bundle(facts: dict[str, Any]) -> None:
    for path in ("../decoder.onnx", "/etc/passwd", "a/b", ".hidden", ""):
        facts["files"][0]["path"] = path
        assert "path" in refusal(facts)


def test_foreign_and_older_kinds() -> None:
    for text in ('{"n_mels": 128, "hop_length": 512}', "[]", '"x"',
                 '{"schema": "distill.bundle", "schema_version": "0.9.0"}',
                 '{"schema": "distill.bundle", "schema_version": 1}'):
        with pytest.raises(BundleError, match="Incompatible model format. Please retrain with current version."):
            parse(text, "x")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "{'a': 1}"])
def test_text_that_is_no_json(text: str) -> None:
    with pytest.raises(BundleError, match="x.json"):
        parse(text, "x.json")


@pytest.mark.parametrize("text", [b"\xff\xfe\x00\x01", b'{"a": "\xff"}'])
def test_bytes_that_are_no_text(text: bytes) -> None:
    with pytest.raises(BundleError, match="x.json: not JSON"):
        parse(text, "x.json")


def test_a_number_with_hundreds_of_digits(facts: dict[str, Any]) -> None:
    facts["normalization"]["mean"] = [10**400, 1.5]
    with pytest.raises(BundleError, match="normalization.mean"):
        parse(json.dumps(facts).encode(), "x.json")


def test_published_schema_is_that_of_the_types(facts: dict[str, Any]) -> None:
    published = json.loads((ROOT / "docs" / "sidecar.schema.json").read_text())
    assert published == json_schema(), "run: make schema"
    jsonschema.validate(facts, published)
    facts["stft"]["hopp_length"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(facts, published)


def test_a_sidecar_of_before_copying_was_measured_is_read(facts: dict[str, Any]) -> None:
    del facts["copying"]
    assert "copying" in refusal(facts)
    facts["schema_version"] = "1.0.0"
    assert parse(json.dumps(facts), "x").copying is None
    del facts["loudness"]
    assert "loudness" in refusal(facts)


def test_version_is_semver() -> None:
    assert sidecar.SCHEMA_VERSION.count(".") == 2
