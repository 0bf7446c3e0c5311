"""Exponential back-off as plain arithmetic."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that grow from `initial` by `factor` to at most `limit` (seconds)."""

    initial: float
    limit: float
    factor: float = 2.0

    def delay(self, *, failures: int) -> float:
        """Seconds to wait after that many failures in a row; none after zero."""
        if failures <= 0:
            return 0.0
        # Bound the exponent first: 2.0**2000 would overflow.
        return min(self.limit, self.initial * self.factor ** min(failures - 1, 64))
