"""When to try again: pure arithmetic."""

_DOUBLINGS = 30  # beyond that only the cap counts


def backoff_s(tries: int, *, first_s: float = 1, cap_s: float = 60) -> float:
    """Seconds to wait after the `tries`-th failure: 1, 2, 4 … and never more than `cap_s` (contract B5)."""
    return min(cap_s, first_s * 2.0 ** min(max(tries, 1) - 1, _DOUBLINGS))
