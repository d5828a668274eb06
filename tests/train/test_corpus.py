"""Walking a folder: what is used, what is left out, and that nothing goes missing in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from distill.errors import InvalidValue, NotFound
from distill_train.corpus import Corpus, scan
from distill_train.reader import read_mono
from distill_train.report import as_object, as_text, warnings

RATE = 16_000
TONE = (0.3 * np.sin(np.arange(8000) * 0.1)).astype(np.float32)


def write(path: Path, samples: np.ndarray = TONE, rate: int = RATE, **how: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **how)
    return path


def names(corpus: Corpus) -> list[str]:
    return [recording.name for recording in corpus.recordings]


def reasons(corpus: Corpus) -> dict[str, str]:
    return {item.name: item.reason for item in corpus.left_out}


def test_all_formats_rates_and_channels(tmp_path: Path) -> None:
    for index, (suffix, rate) in enumerate(
        (("wav", 8000), ("flac", 16000), ("ogg", 22050), ("mp3", 44100), ("aiff", 96000))
    ):
        write(tmp_path / f"deep/er/{index}.{suffix}", (1 - 0.1 * index) * TONE, rate)
    write(tmp_path / "b.WAV", np.stack([TONE, 0.5 * TONE, 0 * TONE], axis=1))
    corpus = scan(tmp_path)
    assert names(corpus) == ["b.WAV", "deep/er/0.wav", "deep/er/1.flac", "deep/er/2.ogg", "deep/er/3.mp3",
                             "deep/er/4.aiff"]
    assert not corpus.left_out
    assert corpus.recordings[0].channels == 3
    mono, rate = read_mono(tmp_path / "b.WAV")
    np.testing.assert_allclose(mono, 0.5 * TONE, atol=1e-4)
    assert rate == RATE
    assert corpus.recordings[0].peak_db == pytest.approx(20 * np.log10(np.abs(mono).max()), abs=1e-3)
    assert corpus.recordings[0].rms_db == pytest.approx(20 * np.log10(np.sqrt(np.mean(mono**2))), abs=1e-3)
    assert corpus.recordings[0].peak_sample == np.abs(mono).argmax()


def test_every_file_left_out_has_its_reason(tmp_path: Path) -> None:
    write(tmp_path / "good.wav")
    write(tmp_path / "copy.wav").rename(tmp_path / "good2.wav")
    write(tmp_path / "good3.flac", soundfile.read(tmp_path / "good.wav", dtype="int16")[0])  # another container
    write(tmp_path / "silent.wav", np.zeros(1000, np.float32))
    write(tmp_path / "none.wav", np.zeros(0, np.float32))
    write(tmp_path / "nan.wav", np.array([0.1, np.nan, 0.1], np.float32), subtype="FLOAT")
    write(tmp_path / "opposed.wav", np.stack([TONE, -TONE], axis=1))
    write(tmp_path / ".hidden.wav", 0.5 * TONE)
    write(tmp_path / ".git" / "in.wav", 0.6 * TONE)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not a sound")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "song.m4a").write_bytes(b"\0" * 64)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    corpus = scan(tmp_path)
    assert names(corpus) == ["good.wav"]
    found = reasons(corpus)
    assert found.pop("text.wav").startswith("unreadable: ")
    assert found == {
        ".git/": "hidden folder", ".hidden.wav": "hidden", "empty.wav": "empty file",
        "gone.wav": "unreadable: broken link", "good2.wav": "same as good.wav",
        "good3.flac": "same sound as good.wav", "nan.wav": "non-finite samples (NaN or infinity)",
        "none.wav": "empty: no samples", "notes.txt": "not audio",
        "opposed.wav": "its channels cancel out when mixed to mono", "silent.wav": "silent",
        "song.m4a": ".m4a cannot be read; convert it to WAV or FLAC",
    }


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "mp3"])
def test_truncated_files_are_used_and_said(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    whole = write(tmp_path / f"whole.{suffix}", rng.normal(0, 0.1, 3 * 44100).astype(np.float32), 44100)
    content = whole.read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) * 6 // 10])
    corpus = scan(tmp_path)
    assert not corpus.left_out or suffix == "flac"
    by_name = {recording.name: recording for recording in corpus.recordings}
    assert not by_name[f"whole.{suffix}"].truncated
    if suffix == "flac":  # shorter than one block of the reader: nothing good came before the error
        return
    cut = by_name[f"cut.{suffix}"]
    assert cut.truncated and 0 < cut.seconds < 2.5
    assert any("cut short" in text and cut.name in text for text in warnings(corpus))
    assert len(read_mono(tmp_path / cut.name)[0]) == cut.samples


def test_order_and_content_do_not_depend_on_the_file_system(tmp_path: Path) -> None:
    for folder, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        for index in order:
            write(tmp_path / folder / f"{index}.wav", (0.2 + 0.1 * index) * TONE)
    first, second = scan(tmp_path / "a"), scan(tmp_path / "b")
    assert names(first) == names(second) == ["0.wav", "1.wav", "2.wav"]
    assert [r.sha256 for r in first.recordings] == [r.sha256 for r in second.recordings]


def test_the_run_folder_is_not_part_of_the_corpus(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    write(tmp_path / "run" / "listen.wav", 0.5 * TONE)
    corpus = scan(tmp_path, exclude=tmp_path / "run")
    assert names(corpus) == ["a.wav"] and not corpus.left_out


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    assert names(scan(tmp_path / "corpus")) == ["link/a.wav"]


def test_a_single_file_is_a_corpus(tmp_path: Path) -> None:
    assert names(scan(write(tmp_path / "one.wav"))) == ["one.wav"]


def test_nothing_to_train_on_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere does not exist"):
        scan(tmp_path / "nowhere")
    with pytest.raises(InvalidValue, match="is empty"):
        scan(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.wav").touch()
    with pytest.raises(InvalidValue, match="no usable recording; left out: 1 x .*, 1 x ") as caught:
        scan(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav", 0.5 * TONE)
    real = Path.open

    def guarded(self: Path, *how: Any) -> Any:
        if self.name == "b.wav":
            raise PermissionError(13, "Permission denied")
        return real(self, *how)

    monkeypatch.setattr(Path, "open", guarded)
    assert reasons(scan(tmp_path)) == {"b.wav": "unreadable: Permission denied"}


def test_report_and_warnings(tmp_path: Path) -> None:
    write(tmp_path / "clipped.wav", np.clip(5 * TONE, -1, 1))
    write(tmp_path / "quiet.wav", 1e-3 * TONE, 44100, subtype="FLOAT")
    corpus = scan(tmp_path)
    report = as_object(corpus)
    json.dumps(report, allow_nan=False)
    assert report["files"] == 2 and report["loudest"] == "clipped.wav" and report["quietest"] == "quiet.wav"
    assert report["sample_rates"] == {"16000": 1, "44100": 1}
    text = " ".join(warnings(corpus))
    for word in ("clipped (flat", "very quiet", "padded with silence", "peaks differ", "mixed sample rates",
                 "fewer than 5", "very little"):
        assert word in text, word
    assert "2 recordings" in as_text(corpus)
