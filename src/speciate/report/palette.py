"""Colours in pairs, light and dark. A figure is written in the light ones; page.js swaps them."""

from __future__ import annotations

from collections.abc import Sequence

# Blue to orange through violet: hue and lightness rise together, so the order survives every common
# colour-vision deficiency. Each is at least 4.5:1 on its ground (as text labels are set in it too).
RATIO_STOPS_LIGHT = ("#02468b", "#4839a8", "#75339d", "#992e83", "#b4305d", "#c0402a", "#a85d00")
RATIO_STOPS_DARK = ("#4f9cf9", "#8f8cfe", "#c785f5", "#f483d7", "#ff8a9f", "#ff9f6e", "#f2bd5c")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")

INK = ("#1d1c1a", "#edebe6")
MUTED = ("#66625b", "#a5a199")
GRID = ("#e7e3da", "#2f2e2b")
GROUND = ("#fcfbf8", "#161615")
TRUNK = ("#d3cec3", "#4a4843")
GOOD = ("#1f6f54", "#62c9a0")
BAD = ("#ad3524", "#ff8f78")


def ratio_colours(count: int) -> list[tuple[str, str]]:
    """(light, dark) colours for ``count`` ratios in ascending order, spread over the whole scale.

    >>> ratio_colours(2)
    [('#02468b', '#4f9cf9'), ('#a85d00', '#f2bd5c')]
    """
    places = [0.5] if count == 1 else [index / max(count - 1, 1) for index in range(count)]
    return [(_between(RATIO_STOPS_LIGHT, place), _between(RATIO_STOPS_DARK, place)) for place in places]


def _between(stops: Sequence[str], place: float) -> str:
    position = place * (len(stops) - 1)
    index = min(int(position), len(stops) - 2)
    share = position - index
    channels = (
        round((1 - share) * int(stops[index][at : at + 2], 16) + share * int(stops[index + 1][at : at + 2], 16))
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def faint(colour: str, opacity: float) -> str:
    """The same colour, see-through, as plotly writes it.

    >>> faint("#02468b", 0.15)
    'rgba(2,70,139,0.15)'
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def swap_table(ratios: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Light -> dark for every colour a figure may hold; page.js matches "#rrggbb" and "rgba(r,g,b," prefixes."""
    pairs = [*ratios, INK, MUTED, GRID, GROUND, TRUNK, GOOD, BAD]
    solid = {light: dark for light, dark in pairs}
    return solid | {faint(light, 0)[:-2]: faint(dark, 0)[:-2] for light, dark in pairs}
