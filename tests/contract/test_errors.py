"""Every error has its exit code, is of the built-in kind that a caller would catch, and fits on one line."""

from __future__ import annotations

import typing

import pytest

import distill
from distill import errors


@pytest.mark.parametrize(("kind", "builtin", "code"), [
    (distill.InvalidValue, ValueError, 2), (distill.NotFound, FileNotFoundError, 3),
    (distill.BundleError, ValueError, 4), (distill.DeviceError, RuntimeError, 5),
    (distill.NumericError, ArithmeticError, 6), (distill.FileError, OSError, 7),
])
def test_tree(kind: type[distill.DistillError], builtin: type[Exception], code: int) -> None:
    error = kind("something\nwith a line break")
    assert isinstance(error, distill.DistillError) and isinstance(error, builtin)
    assert error.exit_code == code
    assert str(error) == "something with a line break"


def test_missing_extra_tells_the_pip_line() -> None:
    error = distill.MissingExtra("torch", "train")
    assert error.exit_code == 2 and isinstance(error, ImportError)
    assert "pip install 'distill-audio[train]'" in str(error)


def test_public_names_are_few_and_sorted() -> None:
    assert distill.__all__ == sorted(distill.__all__, key=str)
    for name in distill.__all__:
        public = getattr(distill, name)
        kinds = typing.get_args(public) or (public,)  # Blend is one of two classes
        assert all(kind.__module__.startswith("distill") for kind in kinds)
    with pytest.raises(AttributeError):
        distill.nonsense  # noqa: B018
    assert errors.INCOMPATIBLE == "Incompatible model format. Please retrain with current version."
