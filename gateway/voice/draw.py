"""A plan as a picture: SVG text, laid out in layers from the start downwards. Pure.

A node stands one layer below the nearest one that leads to it; where a call ends, its box says so. Ways down are solid,
ways back and to the side dashed; each is labelled with the key or case it is taken on. Text is escaped; nothing in the
picture loads or runs anything.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import count
from textwrap import wrap
from typing import Final

from gateway.voice.dialplan import HANGUP, Plan
from gateway.voice.facts import heard_in, settings_of, told_of_machine, verb_of, ways_of

WIDTH: Final = 230  # of a box, in pixels, as all that follows
GAP_X: Final = 70
GAP_Y: Final = 70
LINE: Final = 15
LETTERS: Final = 31  # that fit into a line of a box
MAX_LINES: Final = 6  # of words in one box
MARGIN: Final = 40
LANES: Final = 6  # for ways back, between two columns or two layers

_FONT: Final = 'font-family="Helvetica, Arial, sans-serif" font-size="12"'
_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#475569"/></marker></defs>'
)
_COLOURS: Final[Mapping[str, str]] = {
    "menu": "#dbeafe",
    "collect": "#dbeafe",
    "record": "#dbeafe",
    "branch": "#fef9c3",
    "outcome": "#dcfce7",
    "opt_out": "#fee2e2",
    "transfer": "#f3e8ff",
    "send_sms": "#f3e8ff",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A node in the picture: its lines, and where its upper left corner is."""

    name: str
    colour: str
    lines: tuple[str, ...]
    x: float
    y: float

    @property
    def height(self) -> float:
        """With a heading and a margin."""
        return LINE * (len(self.lines) + 1) + 14


@dataclass(frozen=True, slots=True)
class Way:
    """What leads from a box to another: its path, and its label with where that stands."""

    path: str
    label: str
    x: float
    y: float
    is_dashed: bool = False


def draw(plan: Plan) -> str:
    """The picture of a plan: an SVG document."""
    boxes = _boxes(plan, _layers(plan))
    ways = [*_ways(plan, boxes)]
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN + 60
    height = max(box.y + box.height for box in boxes.values()) + MARGIN
    title = f"{plan.name} ({', '.join(plan.languages)}); a machine: {told_of_machine(plan.machine)}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" {_FONT}>',
            _TIP,
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="{MARGIN}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
            *(_line(way) for way in ways),
            *(_box(box, is_start=box.name == plan.start) for box in boxes.values()),
            *(_label(way) for way in ways if way.label),
            "</svg>\n",
        ]
    )


def _layers(plan: Plan) -> list[list[str]]:
    """Names by distance from the start; what nothing leads to (a machine's node) stands at the top."""
    depth: dict[str, int] = {}
    for first in (plan.start, plan.machine.node or plan.start, *plan.nodes):
        if first in depth:
            continue
        depth[first] = 0
        ahead = deque([first])
        while ahead:
            name = ahead.popleft()
            for target in ways_of(plan.nodes[name]).values():
                if target != HANGUP and target not in depth:
                    depth[target] = depth[name] + 1
                    ahead.append(target)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in depth:
        layers[depth[name]].append(name)
    return _ordered(plan, layers)


def _ordered(plan: Plan, layers: list[list[str]]) -> list[list[str]]:
    """Each layer in the order of what leads to it from above, so that few ways cross."""
    ordered = [layers[0]]
    for layer in layers[1:]:
        above = {name: at for at, name in enumerate(ordered[-1])}

        def place(name: str, above: Mapping[str, int] = above) -> float:
            places = [at for other, at in above.items() if name in ways_of(plan.nodes[other]).values()]
            return sum(places) / len(places) if places else len(above)

        ordered.append(sorted(layer, key=place))
    return ordered


def _boxes(plan: Plan, layers: list[list[str]]) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    widest = max(map(len, layers))  # every layer stands on the same columns, so that ways back find room between them
    y = float(MARGIN + 10)
    for layer in layers:
        left = MARGIN + (widest - len(layer)) // 2 * (WIDTH + GAP_X)
        for at, name in enumerate(layer):
            boxes[name] = Box(name, _colour(plan, name), _lines(plan, name), left + at * (WIDTH + GAP_X), y)
        y += max(boxes[name].height for name in layer) + GAP_Y
    return boxes


def _colour(plan: Plan, name: str) -> str:
    return _COLOURS.get(verb_of(plan.nodes[name]), "#f8fafc")


def _lines(plan: Plan, name: str) -> tuple[str, ...]:
    """What stands in a box under its name."""
    node = plan.nodes[name]
    said = heard_in(node, plan.language).replace("{{ ", "{{\xa0").replace(" }}", "\xa0}}")  # a variable stays in a line
    facts = [] if said else [f"{label}: {value}" for label, value in settings_of(node).items() if value]
    lines = [line for text in ([said] if said else facts) for line in wrap(text, LETTERS)]
    ends = [f"■ {way}: hangs up" if way else "■ hangs up" for way, to in ways_of(node).items() if to == HANGUP]
    return (*([*lines[: MAX_LINES - 1], "…"] if len(lines) > MAX_LINES else lines), *ends)


def _box(box: Box, *, is_start: bool) -> str:
    thick = 3 if is_start else 1
    lines = "".join(
        f'<text x="{box.x + 10:g}" y="{box.y + 20 + LINE * (at + 1):g}" fill="#334155">{escape(line)}</text>'
        for at, line in enumerate(box.lines)
    )
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{box.height:g}" rx="8" fill="{box.colour}" '
        f'stroke="#475569" stroke-width="{thick}"/>'
        f'<text x="{box.x + 10:g}" y="{box.y + 19:g}" font-weight="bold">{escape(box.name)}</text>{lines}'
    )


def _ways(plan: Plan, boxes: Mapping[str, Box]) -> Iterator[Way]:
    lanes = count()
    for name, node in plan.nodes.items():
        by_target: dict[str, list[str]] = {}
        for way, target in ways_of(node).items():
            if target != HANGUP:
                by_target.setdefault(target, []).append("empty" if way == '""' else way)
        for at, (target, ways) in enumerate(by_target.items()):
            share = (at + 1) / (len(by_target) + 1)
            start, end = boxes[name], boxes[target]
            if end.y > start.y:
                yield _down(start, end, _told(ways), share, _bottom(start, boxes))
            elif end.y == start.y and end is not start:
                yield _beside(start, end, _told(ways), share)
            else:
                yield _back(start, end, _told(ways), share, next(lanes) % LANES, _bottom(end, boxes))


def _bottom(box: Box, boxes: Mapping[str, Box]) -> float:
    """Where the layer of a box ends."""
    return max(each.y + each.height for each in boxes.values() if each.y == box.y)


def _told(ways: list[str]) -> str:
    named = [way for way in ways if way]
    return f"{named[0]} … {named[-1]}" if len(named) > 4 else ", ".join(named)


def _down(start: Box, end: Box, label: str, share: float, bottom: float) -> Way:
    """A curve to the next layer, from where no box of its own is left to cross."""
    x1, y1, x2, y2 = start.x + WIDTH * share, start.y + start.height, end.x + WIDTH * (0.3 + 0.4 * share), end.y
    path = f"M{x1:g} {y1:g}V{bottom:g}C{x1:g} {bottom + 45:g} {x2:g} {y2 - 45:g} {x2:g} {y2:g}"
    return Way(path, label, x1 + 4, y1 + 14 + 12 * (share > 0.5))


def _beside(start: Box, end: Box, label: str, share: float) -> Way:
    """Over the top of what stands between."""
    x1, y1, x2 = start.x + WIDTH * share, start.y, end.x + WIDTH * (0.8 - 0.2 * share)
    path = f"M{x1:g} {y1:g}C{x1:g} {y1 - 45:g} {x2:g} {y1 - 45:g} {x2:g} {y1:g}"
    return Way(path, label, x1 + 4, y1 - 8, is_dashed=True)


def _back(start: Box, end: Box, label: str, share: float, lane: int, bottom: float) -> Way:
    """Between the columns and the layers, upwards: out to the right, up, and in from the right."""
    x1, y1, x2, y2 = start.x + WIDTH, start.y + start.height * share, end.x + WIDTH, end.y + end.height * share
    aside, across = 10 + 6 * lane, bottom + 10 + 6 * lane
    over = f"V{across:g}H{x2 + aside:g}" if x1 != x2 else ""
    return Way(f"M{x1:g} {y1:g}H{x1 + aside:g}{over}V{y2:g}H{x2:g}", label, x1 + 6, y1 - 4, is_dashed=True)


def _line(way: Way) -> str:
    dash = ' stroke-dasharray="5 4"' if way.is_dashed else ""
    return f'<path d="{way.path}" fill="none" stroke="#475569"{dash} stroke-linejoin="round" marker-end="url(#tip)"/>'


def _label(way: Way) -> str:
    halo = 'paint-order="stroke" stroke="white" stroke-width="4"'
    return f'<text x="{way.x:g}" y="{way.y:g}" fill="#1d4ed8" {halo}>{escape(way.label)}</text>'
