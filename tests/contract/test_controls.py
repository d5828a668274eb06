"""The controls of a sidecar: what a reader must refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distill.errors import BundleError
from distill.sidecar import parse


@pytest.mark.parametrize(("changes", "word"), [
    ({"name": "Brightness"}, "name"), ({"name": "2"}, "name"), ({"name": "a b"}, "name"), ({"name": ""}, "name"),
    ({"sign": 0}, "sign"), ({"component": 99}, "component"), ({"component": -1}, "component"),
    ({"low": 1e9}, "low"), ({"high": -1e9}, "low"), ({"correlation": None}, "null together"),
    ({"descriptor": None}, "null together"), ({"unit": "Hz"}, "unit"), ({"position": 3}, "position"),
])
def test_a_control_that_cannot_be_is_named(tiny: Path, changes: dict[str, Any], word: str) -> None:
    facts = json.loads((tiny / "decoder.onnx.json").read_text())
    assert facts["controls"][0]["descriptor"] is not None
    facts["controls"][0].update(changes)
    with pytest.raises(BundleError) as caught:
        parse(json.dumps(facts), "x.json")
    assert word in str(caught.value) and "controls" in str(caught.value)


def test_two_controls_of_one_name_are_refused(tiny: Path) -> None:
    facts = json.loads((tiny / "decoder.onnx.json").read_text())
    facts["controls"][1]["name"] = facts["controls"][0]["name"]
    with pytest.raises(BundleError, match="stands twice"):
        parse(json.dumps(facts), "x.json")


def test_what_was_exported_keeps_its_promises(tiny: Path) -> None:
    sidecar = parse((tiny / "decoder.onnx.json").read_bytes(), "x")
    pca = sidecar.latent.pca
    assert 0 < len(sidecar.controls) <= 8
    for control in sidecar.controls:
        assert pca.variance_ratio[control.component] > 0.02
        ends = sorted((control.sign * pca.p01[control.component], control.sign * pca.p99[control.component]))
        assert [control.low, control.high] == ends and control.mid == control.sign * pca.p50[control.component]
        assert control.low_file.startswith("tone_") and control.high_file.startswith("tone_")
        number = f"PC{control.component + 1}"
        if control.descriptor is None:
            assert (control.name, control.label) == (number.lower(), number)
        else:
            assert control.correlation > 0.5 and control.p_value < 0.05 and control.change > 0
            title = control.name.replace("-", " ").title()
            assert control.label == f"{number} ({title})"
    with pytest.raises(BundleError, match="16|pattern|id"):
        facts = json.loads((tiny / "decoder.onnx.json").read_text())
        facts["model"]["id"] = "../../../etc"
        parse(json.dumps(facts), "x")
