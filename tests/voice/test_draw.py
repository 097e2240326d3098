import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gateway.voice.draw import GAP_X, WIDTH, draw
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


def test_a_question_shows_all_of_its_words_in_the_plans_first_language() -> None:
    source = (
        "name: x\nlanguage: en-US\nlanguages: [en-US, es-US]\nstart: a\nnodes:\n  a:\n    menu:\n      prompt:\n"
        "        - {say: 'Oprima ocho.', language: es-US}\n        - say: {en-US: 'Press 1.', es-US: 'Oprima uno.'}\n"
        "      choices: {'1': b}\n      timeout: 5s\n      attempts: 1\n      otherwise: b\n"
        "  b: {say: {en-US: Bye, es-US: Hasta luego}, then: hangup}\n"
    )

    picture = draw(load(source, file="x"))

    assert "Oprima ocho. Press 1." in picture
    assert "uno" not in picture


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_ways_back_run_between_the_boxes_and_what_is_written_on_ways_lies_on_top(path: Path) -> None:
    root = ET.fromstring(draw(load(path.read_text(), file=path.name)))  # noqa: S314  it is our own picture

    drawn = list(root)
    boxes = [each for each in drawn if each.get("rx")]
    labels = [at for at, each in enumerate(drawn) if each.get("paint-order")]
    assert min(labels) > drawn.index(boxes[-1])
    lefts = sorted({float(box.attrib["x"]) for box in boxes})
    backs = [each.attrib["d"] for each in drawn if each.get("stroke-dasharray") and "H" in each.attrib["d"]]
    aside = [float(x) for way in backs for x in re.findall(r"H([\d.]+)", way)[:-1]]
    assert all(any(0 < x - left - WIDTH < GAP_X for left in lefts) for x in aside)
    assert aside or path.stem == "replay-or-opt-out"
