"""Arrays that are read as they are verified are those that `np.load` reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from distill.bundle import Bundle, open_bundle
from distill.errors import BundleError
from distill.npz import stored_arrays
from distill.prior import Prior

ARRAYS = {"half": np.arange(6, dtype=np.float16).reshape(2, 3), "names": np.array(["a", "äö"]),
          "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "none": np.zeros((0, 3)), "one": np.array(7)}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_stored_arrays_are_those_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **ARRAYS)  # type: ignore[arg-type]
    found = stored_arrays(path, digest(path))
    assert found is not None and list(found) == list(ARRAYS)
    for key, array in ARRAYS.items():
        assert found[key].dtype == array.dtype and found[key].flags.writeable
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("spoil", [
    lambda path: np.savez_compressed(path, **ARRAYS), lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:300]), lambda path: path.write_bytes(b"PK\3\4"),
    lambda path: path.write_bytes(path.read_bytes().replace(b"NUMPY", b"NUMPI")), lambda path: path.unlink(),
    lambda path: np.savez(path, a=np.array([{}], object))])
def test_what_is_not_stored_so_is_left_to_others(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **ARRAYS)  # type: ignore[arg-type]
    spoil(path)
    assert stored_arrays(path, digest(path) if path.exists() else "") is None


def test_another_file_than_the_sidecars_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **ARRAYS)  # type: ignore[arg-type]
    was = digest(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # behind all arrays
    path.write_bytes(data)
    assert stored_arrays(path, was) is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_bundle_reads_both_kinds_alike(tiny_copy: Path, save: Callable[..., None]) -> None:
    bundle = open_bundle(tiny_copy)
    arrays = bundle.arrays("prior")
    save(tiny_copy / "prior.npz", **arrays)
    again = saved(bundle)
    assert all(np.array_equal(again.arrays("prior")[key], array) for key, array in arrays.items())
    for value in (np.inf, -np.inf, np.nan):
        latents = arrays["latents"].astype(np.float16)
        latents[1, 2] = value
        save(tiny_copy / "prior.npz", **{**arrays, "latents": latents})
        with pytest.raises(BundleError, match="latents"):
            Prior.of(saved(bundle))
    save(tiny_copy / "prior.npz", latents=np.array([{}], object))
    with pytest.raises(BundleError, match="cannot be read"):
        saved(bundle).arrays("prior")


def saved(bundle: Bundle) -> Bundle:
    """The bundle, with the prior that lies there now in its sidecar."""
    path = bundle.path / "prior.npz"
    files = [replace(entry, sha256=digest(path), bytes=path.stat().st_size) if entry.role == "prior" else entry
             for entry in bundle.sidecar.files]
    return Bundle(bundle.path, replace(bundle.sidecar, files=files))
