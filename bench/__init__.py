"""Benchmarks: run from the root of the repository, as modules. Not part of any wheel."""
