"""Running results of an associative operation, by doubling.

After step s every element holds the result of the 2^s elements that end with it (fewer at the start), so that
log2(n) steps over whole arrays replace n over single elements (Hillis and Steele, "Data parallel algorithms", 1986).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Array = Any
Items = tuple[Array, ...]


def scan(combine: Callable[[Items, Items], Items], items: Items, axis: int, xp: Any) -> Items:
    """Element i becomes combine(... combine(combine(x0, x1), x2) ..., xi), along `axis`.

    items: arrays of one shape, which make up the elements together. combine(earlier, later): associative.
    """
    head = (slice(None),) * axis
    count, reach = items[0].shape[axis], 1
    while reach < count:
        earlier = tuple(item[(*head, slice(None, -reach), ...)] for item in items)
        later = tuple(item[(*head, slice(reach, None), ...)] for item in items)
        first = tuple(item[(*head, slice(None, reach), ...)] for item in items)
        items = tuple(xp.concat(pair, axis=axis) for pair in zip(first, combine(earlier, later), strict=True))
        reach *= 2
    return items


def running_minimum(values: Array, axis: int, xp: Any) -> Array:
    """The least of the values up to each one, along `axis`."""
    return scan(lambda earlier, later: (xp.minimum(earlier[0], later[0]),), (values,), axis, xp)[0]


def running_maximum(values: Array, axis: int, xp: Any) -> Array:
    """The greatest of the values up to each one, along `axis`."""
    return scan(lambda earlier, later: (xp.maximum(earlier[0], later[0]),), (values,), axis, xp)[0]
