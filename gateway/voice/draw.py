"""A plan as a picture: SVG text, laid out in layers from the start downwards. Pure.

A node stands one layer below the nearest one that leads to it; where a call ends, its box says so. Ways down are solid,
ways back and to the side dashed; each is labelled with the key or case it is taken on. Text is escaped; nothing in the
picture loads or runs anything.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Final

from gateway.voice.dialplan import HANGUP, Plan
from gateway.voice.facts import settings_of, told_of_machine, verb_of, ways_of, words_of

WIDTH: Final = 230  # of a box, in pixels, as all that follows
GAP_X: Final = 50
GAP_Y: Final = 70
LINE: Final = 15
LETTERS: Final = 31  # that fit into a line of a box
MAX_LINES: Final = 6  # of words in one box
MARGIN: Final = 40

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


def draw(plan: Plan) -> str:
    """The picture of a plan: an SVG document."""
    boxes = _boxes(plan, _layers(plan))
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN + 60
    height = max(box.y + box.height for box in boxes.values()) + MARGIN
    title = f"{plan.name} ({', '.join(plan.languages)}); a machine: {told_of_machine(plan.machine)}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" {_FONT}>',
            _TIP,
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="{MARGIN}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
            *_edges(plan, boxes),
            *(_box(box, is_start=box.name == plan.start) for box in boxes.values()),
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
    widest = max(map(len, layers))
    y = float(MARGIN + 10)
    for layer in layers:
        left = MARGIN + (widest - len(layer)) * (WIDTH + GAP_X) / 2
        for at, name in enumerate(layer):
            boxes[name] = Box(name, _colour(plan, name), _lines(plan, name), left + at * (WIDTH + GAP_X), y)
        y += max(boxes[name].height for name in layer) + GAP_Y
    return boxes


def _colour(plan: Plan, name: str) -> str:
    return _COLOURS.get(verb_of(plan.nodes[name]), "#f8fafc")


def _lines(plan: Plan, name: str) -> tuple[str, ...]:
    """What stands in a box under its name."""
    node = plan.nodes[name]
    texts = words_of(node)
    said = texts.get("says") or texts.get(f"says in {plan.language}") or next(iter(texts.values()), "")
    facts = [f"{label}: {value}" for label, value in settings_of(node).items() if value and not texts]
    lines = wrap(said, LETTERS) if texts else [line for fact in facts for line in wrap(fact, LETTERS)]
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


def _edges(plan: Plan, boxes: Mapping[str, Box]) -> Iterator[str]:
    for name, node in plan.nodes.items():
        by_target: dict[str, list[str]] = {}
        for way, target in ways_of(node).items():
            if target != HANGUP:
                by_target.setdefault(target, []).append("empty" if way == '""' else way)
        for at, (target, ways) in enumerate(by_target.items()):
            share = (at + 1) / (len(by_target) + 1)
            yield _edge(boxes[name], boxes[target], ", ".join(way for way in ways if way), share)


def _edge(start: Box, end: Box, label: str, share: float) -> str:
    """One way: a curve downwards; dashed over the top for one on its level, and by the right side for one upwards."""
    x = start.x + WIDTH * share
    if end.y > start.y:
        x1, y1, x2, y2 = x, start.y + start.height, end.x + WIDTH * (0.3 + 0.4 * share), end.y
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 + 45:g} {x2:g} {y2 - 45:g} {x2:g} {y2:g}"
        dash, text_x, text_y = "", x1 + 4, y1 + 14 + 12 * (share > 0.5)
    elif end.y == start.y and end is not start:
        x1, y1, x2 = x, start.y, end.x + WIDTH * (0.8 - 0.2 * share)
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 - 45:g} {x2:g} {y1 - 45:g} {x2:g} {y1:g}"
        dash, text_x, text_y = ' stroke-dasharray="5 4"', x1 + 4, y1 - 8
    else:
        x1, y1, x2, y2 = start.x + WIDTH, start.y + start.height * share, end.x + WIDTH, end.y + end.height * share
        side = max(x1, x2) + 25 + 30 * share
        path = f"M{x1:g} {y1:g}C{side:g} {y1:g} {side:g} {y2:g} {x2:g} {y2:g}"
        dash, text_x, text_y = ' stroke-dasharray="5 4"', x1 + 6, y1 - 4
    line = f'<path d="{path}" fill="none" stroke="#475569"{dash} marker-end="url(#tip)"/>'
    if not label:
        return line
    halo = 'paint-order="stroke" stroke="white" stroke-width="4"'
    return f'{line}<text x="{text_x:g}" y="{text_y:g}" fill="#1d4ed8" {halo}>{escape(label)}</text>'
