"""Lines in an SVG file: a few panels side by side, both axes logarithmic, which is all that growth needs."""

import dataclasses
import html
import math
from collections.abc import Sequence

_COLUMNS = 2
_WIDTH, _HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 26, 34, 42
_COLORS = ("#1f5fa8", "#c0501f", "#2c8a4b", "#7a4aa0")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points (x, y), all above zero and in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture of several lines."""

    title: str
    x: str
    lines: Sequence[Line]


def svg(panels: Sequence[Panel]) -> str:
    """The file."""
    rows = math.ceil(len(panels) / _COLUMNS)
    width, height = _COLUMNS * _WIDTH, rows * _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        x, y = number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that enclose all values, at least one decade."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _panel(panel: Panel) -> list[str]:
    points = [point for line in panel.lines for point in line.points]
    left, right = decades([x for x, _ in points])
    low, high = decades([y for _, y in points])
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(x: float) -> float:
        return _LEFT + (math.log10(x) - left) / (right - left) * wide

    def down(y: float) -> float:
        return _TOP + tall - (math.log10(y) - low) / (high - low) * tall

    parts = [f'<text x="{_LEFT}" y="16" font-weight="bold">{html.escape(panel.title)}</text>']
    for power in range(left, right + 1):
        x = across(10.0**power)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_TOP + tall}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP + tall + 15}" text-anchor="middle">{10.0**power:,g}</text>')
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_LEFT + wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>')
    parts.append(f'<text x="{_LEFT + wide / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{html.escape(panel.x)}</text>')
    for number, line in enumerate(panel.lines):
        color = _COLORS[number % len(_COLORS)]
        places = [(across(x), down(y)) for x, y in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.8"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{color}"/>' for x, y in places]
        parts.append(
            f'<text x="{_LEFT + 8}" y="{_TOP + 14 + 14 * number}" fill="{color}">{html.escape(line.name)}</text>'
        )
    return parts
