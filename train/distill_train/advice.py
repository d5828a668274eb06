"""When to stop: the question every musician asks of a training run."""

from __future__ import annotations

from collections.abc import Sequence

PATIENCE_SECONDS = 60.0  # and at least
PATIENCE_SHARE = 0.3  # of the time trained so far
_WORTH_DB = 0.02  # an improvement smaller than this is noise


def stalled(history: Sequence[dict[str, float]], key: str = "held_out_db") -> str | None:
    """One line of advice if the error `key` has not improved for long, else None. Rows have "seconds" too."""
    if len(history) < 4:
        return None
    best = history[0]
    for row in history:
        if row[key] < best[key] - _WORTH_DB:
            best = row
    waited = history[-1]["seconds"] - best["seconds"]
    if waited < max(PATIENCE_SECONDS, PATIENCE_SHARE * history[-1]["seconds"]):
        return None
    minutes = max(1, round(best["seconds"] / 60 * 1.5))
    # Not "stop now": the falling learning rate of the last part still refines whatever has been learnt.
    return (
        f"held-out error has not improved for {waited:.0f} s (best {best[key]:.2f} dB at {best['seconds']:.0f} s): "
        f"about {minutes} {'minute' if minutes == 1 else 'minutes'} would do for this corpus; "
        "more recordings will help more than more time"
    )
