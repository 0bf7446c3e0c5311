"""Kubernetes quantities: ``500m``, ``1Gi``, ``2e3``.

The format is that of the API convention "Quantity": a signed decimal number with a binary (Ki..Ei) or
decimal (n, u, m, k..E) suffix or a decimal exponent.
"""

import decimal
import functools
import re

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": "1e-9", "u": "1e-6", "m": "1e-3", "": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12", "P": "1e15",
    "E": "1e18",
}  # fmt: skip
_SUFFIXES = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
# Enough for the longest number with the largest exponent that the form allows.
_DIGITS = 1100
# Kubernetes: "no quantity may represent a number greater than 2^63-1 in magnitude"; larger ones are capped.
_MOST = 2**63 - 1
# At most three exponent digits: `1e99999999` would cost minutes and means nothing.
_FORM = re.compile(
    r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:([eE][+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?", re.ASCII
)


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


@functools.lru_cache(maxsize=4096)
def canonical(text: str | int | float) -> str:
    """The one form in which Kubernetes writes an amount: 1000m is 1, 1024Mi is 1Gi, 0.5 is 500m.

    No fraction, the largest suffix that divides it, the family of suffixes kept; less than a billionth is rounded up,
    and what is more than 2^63-1 becomes that.
    Raises ValueError when it is no quantity.
    """
    value = parse(text)
    match = _FORM.fullmatch(str(text))
    assert match is not None
    _, exponent, suffix = match.groups()
    if abs(value) > _MOST:
        return str(_MOST if value > 0 else -_MOST)
    if suffix in _BINARY and abs(value) >= 1024:
        written = from_bytes(int(value.to_integral_value(rounding=decimal.ROUND_UP)))
        # What no binary suffix divides is read again as a decimal number, and must be written as one.
        return written if written[-1] == "i" else canonical(written)
    with decimal.localcontext(prec=_DIGITS):
        billionths = int((value * 10**9).to_integral_value(rounding=decimal.ROUND_UP))
    power = -9
    while billionths and billionths % 1000 == 0 and (exponent is not None or power < 18):
        billionths //= 1000
        power += 3
    if billionths == 0:
        return "0"
    if exponent is not None:
        return f"{billionths}e{power}" if power else str(billionths)
    return f"{billionths}{_SUFFIXES[power]}"


def from_milli(value: int) -> str:
    """Write thousandths as Kubernetes does: ``1500m``, ``2``."""
    return str(value // 1000) if value % 1000 == 0 else f"{value}m"


def from_bytes(value: int) -> str:
    """Write bytes with the largest binary suffix that divides them."""
    for suffix, size in reversed(_BINARY.items()):
        if value and value % size == 0:
            return f"{value // size}{suffix}"
    return str(value)
