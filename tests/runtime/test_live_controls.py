"""Who may turn the knobs of a live sound, by which words, from where; and that nonsense changes nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.live_sound import played

import distill
from distill import presets
from distill.blending import ModelSlot
from distill.knobs import Knobs
from distill.live import Controls, Live, Targets, parse_line
from distill.live.changes import Change, change_of
from distill.live.lines import follow_lines
from distill.live.osc import OscListener


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def name(model: distill.Model) -> str:
    return model.sliders.names[0]


@pytest.mark.parametrize(("line", "changes"), [
    ("", []), ("  # a comment", []), ("wander 0.5", [Change("wander", value=0.5)]),
    ("slider brightness 3\r\n", [Change("slider", "brightness", 3)]),
    ("slider low end -2.5", [Change("slider", "low end", -2.5)]), ("weight A 0.2", [Change("weight", "A", 0.2)]),
    ("preset late night", [Change("preset", "late night")]), ("seed 007", [Change("seed", "7")]),
    ('{"slider": {"a": 1, "b": -2}, "wander": 0.1, "seed": 4, "preset": "x"}',
     [Change("slider", "a", 1), Change("slider", "b", -2), Change("wander", value=0.1), Change("seed", "4"),
      Change("preset", "x")]),
])
def test_lines(line: str, changes: list[Change]) -> None:
    assert list(parse_line(line)) == changes


@pytest.mark.parametrize(("word", "rest"), [
    ("seed", ["9" * 5000]), ("seed", ["9" * 20]), ("slider", ["9" * 5000, 1]), ("weight", ["9" * 5000, 1])])
def test_numbers_too_long_to_read_are_refused(model: distill.Model, word: str, rest: list[Any]) -> None:
    """By OSC, whose messages may be longer than lines."""
    with pytest.raises(distill.InvalidValue):
        Controls([model, model], Knobs(), (0.5, 0.5)).change([change_of(word, rest)])


@pytest.mark.parametrize("line", [
    "volume 3", "slider", "slider brightness", "slider brightness loud", "wander", "wander 1 2", "wander nan",
    "wander inf", "wander 1e999", "seed -1", "seed 1.5", "seed", "preset", "weight 3", "{", "{}x", '{"wander": "x"}',
    '{"wander": 1, "wander": 2}', '{"slider": 3}', '{"volume": 1}', '{"wander": true}', "\x00\x01", "x" * 5000,
    '{"wander": NaN}', '{"seed": 1.5}', '{"wander": null}', "[" * 2000, "{" * 2000,
])
def test_nonsense_is_refused(line: str) -> None:
    with pytest.raises(distill.InvalidValue, match="control"):
        parse_line(line)


@pytest.mark.parametrize("line", [
    "wander 2", "slider nothing 1", "slider 1 11", "slider 99 1", "weight tiny 0.5", "preset nobody",
    '{"wander": 0.9, "slider": {"1": 99}}', "seed 99999999999999999999",
])
def test_what_is_not_allowed_changes_nothing(model: distill.Model, line: str) -> None:
    controls = Controls([model], Knobs(seed=1))
    before = controls.now
    with pytest.raises(distill.DistillError):
        controls.send(line)
    assert controls.now is before


def test_live_refuses_what_cannot_be_steered(model: distill.Model) -> None:
    for knobs, word in (({"quality": "high"}, "high"), ({"loop": True}, "loop"), ({"wander": 3}, "wander"),
                        ({"sliders": {"nothing": 1}}, "nothing")):
        with pytest.raises(distill.InvalidValue, match=word):
            Live(model, **knobs)  # type: ignore[arg-type]
    with pytest.raises(distill.InvalidValue, match="move by themselves"):
        Live(distill.blend([ModelSlot(model, (1, 0)), ModelSlot(model, 1)]))


def test_a_preset_sets_what_it_names_and_forgets_the_rest(
        model: distill.Model, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_PRESETS", str(tmp_path))
    presets.save("night", model.sidecar.model, {"wander": 0.9, "sliders": {name: 5}, "channels": 2})
    presets.save("cuts", model.sidecar.model, {"mode": "crossfade"})
    presets.save("still", model.sidecar.model, {"mode": "vector", "evolution": 0.1})
    live = Live(model, seed=6, density=3.0, sliders={2: 4})
    sound = played(live, 80, {30: "preset night", 50: "preset still"})
    assert np.isfinite(sound).all()
    live.send("preset night")
    knobs = live.controls.now.knobs
    assert (knobs.wander, knobs.density, knobs.channels, knobs.seed) == (0.9, None, 1, 6)
    assert knobs.sliders == {name: 5}
    with pytest.raises(distill.InvalidValue, match="segments"):
        live.send("preset cuts")
    assert live.controls.now.knobs == knobs


def wait_for(controls: Controls, wanted: Callable[[Targets], bool]) -> None:
    for _ in range(400):
        if wanted(controls.now):
            return
        time.sleep(0.005)
    raise AssertionError(controls.now)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            pass


def test_lines_from_a_pipe(model: distill.Model, pipe: tuple[int, int]) -> None:
    controls, told = Controls([model], Knobs()), []
    thread = follow_lines(pipe[0], controls, told.append)
    os.write(pipe[1], b"wander 0.2\nvolume 11\nwan")
    wait_for(controls, lambda now: now.knobs.wander == 0.2)
    os.write(pipe[1], b"der 0.4\n\xff\xfe\n" + b"x" * 9000)
    wait_for(controls, lambda now: now.knobs.wander == 0.4)
    os.write(pipe[1], b"\nwander 0.6")
    os.close(pipe[1])
    thread.join(5)
    assert not thread.is_alive() and controls.now.knobs.wander == 0.6
    assert len(told) >= 3 and "volume" in told[0] and all("\n" not in line for line in told)


def test_sound_never_waits_for_lines(model: distill.Model, pipe: tuple[int, int]) -> None:
    """Nobody ever writes to the pipe; a second reader is stuck in the middle of a line."""
    live = Live(model, seed=1)
    follow_lines(pipe[0], live.controls, lambda text: None)
    os.write(pipe[1], b"wander 0.")
    assert np.array_equal(played(live, 40, {}), played(Live(model, seed=1), 40, {}))


def test_many_threads_may_turn_knobs(model: distill.Model) -> None:
    live, stop = Live(model, seed=1), threading.Event()

    def turn(number: int) -> None:
        rng = np.random.default_rng(number)
        while not stop.is_set():
            live.send(f"slider {number} {rng.uniform(-9, 9)}")

    threads = [threading.Thread(target=turn, args=(n,)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    sound = played(live, 100, {})
    stop.set()
    for thread in threads:
        thread.join()
    assert np.isfinite(sound).all() and len(live.controls.now.knobs.sliders) == 3


def test_osc(model: distill.Model, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder
    from pythonosc.udp_client import SimpleUDPClient

    monkeypatch.setenv("DISTILL_PRESETS", str(tmp_path))
    presets.save("late night", model.sidecar.model, {"wander": 0.75})
    controls, told = Controls([model], Knobs()), []
    with OscListener(0, controls, told.append) as listener:
        client = SimpleUDPClient("127.0.0.1", listener.port)
        client.send_message("/wander", 0.5)
        wait_for(controls, lambda now: now.knobs.wander == 0.5)
        client.send_message(f"/distill/slider/{name}", 3)
        wait_for(controls, lambda now: now.knobs.sliders.get(name) == 3)
        client.send_message("/slider", [name, -2.5])
        wait_for(controls, lambda now: now.knobs.sliders.get(name) == -2.5)
        client.send_message("/seed", 12)
        wait_for(controls, lambda now: now.knobs.seed == 12)
        client.send_message("/preset", "late night")
        wait_for(controls, lambda now: now.knobs.wander == 0.75)
        bundle = OscBundleBuilder(IMMEDIATELY)
        for value in (0.1, 5.0):
            message = OscMessageBuilder("/wander")
            message.add_arg(value)
            bundle.add_content(message.build())
        client.send(bundle.build())  # the second is not allowed, so neither is made
        for nonsense in (b"", b"x", b"/wander", b"\xff" * 100):
            client._sock.sendto(nonsense, ("127.0.0.1", listener.port))
        client.send_message("/volume", 11)
        client.send_message("/wander", 0.25)
        wait_for(controls, lambda now: now.knobs.wander == 0.25)
        assert len(told) >= 4 and any("volume" in line for line in told)
        with pytest.raises(distill.FileError, match="port"):
            OscListener(listener.port, controls, told.append)
        client._sock.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "distill-osc"]


def test_osc_without_its_extra(model: distill.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("pythonosc")] + ["pythonosc"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(distill.MissingExtra, match=r"distill-audio\[osc\]"):
        OscListener(0, Controls([model], Knobs()), print)
