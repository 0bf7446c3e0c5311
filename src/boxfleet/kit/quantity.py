"""Kubernetes quantities: ``500m``, ``1Gi``, ``2e3``.

The format is that of the API convention "Quantity": a signed decimal number with a binary (Ki..Ei) or
decimal (n, u, m, k..E) suffix or a decimal exponent.
"""

import decimal
import re

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": "1e-9", "u": "1e-6", "m": "1e-3", "": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12", "P": "1e15",
    "E": "1e18",
}  # fmt: skip
# At most three exponent digits: `1e99999999` would cost minutes and means nothing.
_FORM = re.compile(r"([+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30}))(?:([eE][+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?")


def parse(text: str | int | float) -> decimal.Decimal:
    """The exact value of a quantity; raises ValueError when it is none."""
    match = _FORM.fullmatch(str(text))
    if match is None:
        raise ValueError(
            f"{str(text)[:64]!r} is not a quantity: write a number with a suffix such as 500m, 2, 128Mi or 1Gi"
        )
    number, exponent, suffix = match.groups()
    if exponent is not None:
        return decimal.Decimal(number + exponent)
    if suffix in _BINARY:
        return decimal.Decimal(number) * _BINARY[suffix]
    return decimal.Decimal(number) * decimal.Decimal(_DECIMAL[suffix or ""])


def is_quantity(text: str | int | float) -> bool:
    """Whether it has the form of a quantity; cheaper than to parse it."""
    return _FORM.fullmatch(str(text)) is not None


def milli(text: str | int | float) -> int:
    """Thousandths, rounded up: the unit in which CPU is counted."""
    return int((parse(text) * 1000).to_integral_value(rounding=decimal.ROUND_CEILING))


def whole(text: str | int | float) -> int:
    """Whole units, rounded up: the unit in which bytes and pieces are counted."""
    return int(parse(text).to_integral_value(rounding=decimal.ROUND_CEILING))


def from_milli(value: int) -> str:
    """Write thousandths as Kubernetes does: ``1500m``, ``2``."""
    return str(value // 1000) if value % 1000 == 0 else f"{value}m"


def from_bytes(value: int) -> str:
    """Write bytes with the largest binary suffix that divides them."""
    for suffix, size in reversed(_BINARY.items()):
        if value and value % size == 0:
            return f"{value // size}{suffix}"
    return str(value)
