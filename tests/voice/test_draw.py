import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gateway.voice.draw import WIDTH, draw
from gateway.voice.facts import ways_of
from gateway.voice.loader import load

SVG = "{http://www.w3.org/2000/svg}"
FOLDER = Path(__file__).parents[2] / "dialplans"
PLANS = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.endswith(".test.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_node_and_every_way_of_a_plan_is_in_its_picture_and_no_boxes_lie_over_each_other(path: Path) -> None:
    plan = load(path.read_text(), file=path.name)

    root = ET.fromstring(draw(plan))  # noqa: S314  it is our own picture

    names = [text.text for text in root.iter(f"{SVG}text") if text.get("font-weight") == "bold"][1:]
    assert sorted(names, key=str) == sorted(plan.nodes)
    arrows = sum(len({to for to in ways_of(node).values() if to != "hangup"}) for node in plan.nodes.values())
    assert len([each for each in root.iter(f"{SVG}path") if each.get("marker-end")]) == arrows
    boxes = [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("rx")
    ]
    wide, high = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(x >= 0 and y >= 0 and x + w <= wide and y + h <= high for x, y, w, h in boxes)
    assert not [
        (one, other)
        for at, one in enumerate(boxes)
        for other in boxes[at + 1 :]
        if abs(one[0] - other[0]) < WIDTH and one[1] < other[1] + other[3] and other[1] < one[1] + one[3]
    ]


def test_what_a_plan_says_cannot_become_part_of_the_picture() -> None:
    source = "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: '<script>&\"]]></text>', then: hangup}\n"

    picture = draw(load(source, file="x"))

    assert "<script" not in picture
    assert "&lt;script&gt;&amp;&quot;" in picture
    ET.fromstring(picture)  # noqa: S314  it is our own picture
    assert not re.search(r"(href|onload|url\((?!#))", picture)


def test_a_plan_that_goes_in_circles_is_drawn_too() -> None:
    source = "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: A, next: b}\n  b: {say: B, next: a}\n  c: {say: C, next: c}\n"

    assert draw(load(source, file="x")).count("stroke-dasharray") == 2
