"""The simulator's clock: real time plus an offset that control calls move, so that days pass in a second."""

import time


class Clock:
    """Unix time that can be moved. Everything that expires in the simulator reads it."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Simulated Unix time, with fractions."""
        return time.time() + self.offset

    def seconds(self) -> int:
        """Simulated Unix time in whole seconds, as the protocols write it."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once (negative: go back)."""
        self.offset += seconds

    def set(self, unix: float) -> None:
        """Make it `unix` now; the clock keeps running from there."""
        self.offset = unix - time.time()
