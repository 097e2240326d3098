import pytest

from gateway.errors.voice import BadDialplan
from gateway.voice.dialplan import MenuNode, Pause, Play, Say, SpeakNode
from gateway.voice.loader import load

HEAD = "name: x\nlanguage: en-US\nstart: a\n"


def problems(source: str) -> list[tuple[int, str | None, str]]:
    with pytest.raises(BadDialplan) as caught:
        load(source, file="x.yaml")
    return [(problem.line, problem.node, problem.text) for problem in caught.value.problems]


def nodes(text: str, head: str = HEAD) -> str:
    return f"{head}nodes:\n  {text}\n"


def test_yes_and_no_and_on_are_words_and_zeros_stay() -> None:
    plan = load(
        "name: no\nlanguage: en-US\nstart: yes\nnodes:\n"
        "  yes: {branch: {on: digits, cases: {007: on}, otherwise: off}}\n"
        "  on: {outcome: yes, then: hangup}\n  off: {hangup}\nvariables: {digits: {default: 007}}\n",
        file="x.yaml",
    )

    assert (plan.name, plan.start) == ("no", "yes")
    assert plan.nodes["on"].word == "yes"
    assert plan.nodes["yes"].cases == {"007": "on"}
    assert plan.variables["digits"].default == "007"


def test_a_prompt_is_one_part_or_a_list_each_in_its_own_language() -> None:
    plan = load(
        nodes(
            'a: {menu: {prompt: [{play: chime}, {say: Oui, language: fr-CA}, {pause: 500ms}], choices: {"1": a}, otherwise: hangup}}'
        ),
        file="x.yaml",
    )

    menu = plan.nodes["a"]
    assert isinstance(menu, MenuNode)
    assert menu.prompt == (Play("chime", "en-US"), Say("Oui", "fr-CA"), Pause(0.5))
    assert (menu.timeout, menu.attempts, menu.otherwise) == (5.0, 3, "hangup")


def test_nodes_keep_their_lines() -> None:
    plan = load(
        HEAD + "nodes:\n\n  # a comment\n  a: {say: Hello, next: b}\n  b:\n    pause: 1s\n    then: hangup\n",
        file="x.yaml",
    )

    assert plan.nodes["a"] == SpeakNode((Say("Hello", "en-US"),), "b", 7)
    assert plan.nodes["b"].line == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {say: Hi}", "where does it go? add 'next: NODE' or 'then: hangup'"),
        ("a: {say: Hi, next: a, then: hangup}", "has both 'next' and 'then'; keep one"),
        ("a: {say: Hi, then: b}", "'then' must be hangup, not 'b'"),
        ("a: {say: Hi, next: b}", "leads to 'b', which does not exist"),
        ("a: {say: '', then: hangup}", "'say' must be a text"),
        ("a: {say: 'Hi {{ who }}', then: hangup}", "uses the variable 'who', which is not declared"),
        (
            "a: {say: 'Hi {{ who | upper }}', then: hangup}",
            "'{{' and '}}' stand only around the name of a variable: {{ name }}",
        ),
        ("a: {say: Hi, play: b, then: hangup}", "has 2 verbs (say, play); give one of say, play, pause"),
        ("a: {then: hangup}", "has no verb; give one of say, play, pause"),
        ("a: {sya: Hi, then: hangup}", "has no verb"),
        ("a: {say: Hi, then: hangup, colour: red}", "unknown key 'colour'; known here: "),
        ("a: {play: Chime!, then: hangup}", "'play' cannot be 'Chime!'"),
        ("a: {pause: 5, then: hangup}", "'pause' must be a time from 0.1s to 60s such as 5s or 500ms, not '5'"),
        ("a: {pause: 2m, then: hangup}", "'pause' must be a time from 0.1s to 60s"),
        ("a: {transfer: b, on_failure: a}", "'transfer' cannot be 'b': it must match"),
        (
            "a: {transfer: 'sip:{{ who }}@example.com', on_failure: a}",
            "'transfer' cannot be 'sip:{{ who }}@example.com'",
        ),
        ("a: {transfer: '+18005550199'}", "'on_failure' is missing"),
        ("a: {transfer: '{{ pin }}', on_failure: a}", "'transfer' cannot be '{{ pin }}'"),
        ("a: {transfer: {to: '+18005550199', headers: {Via: b}}, on_failure: a}", "a header is named X-... with"),
        ("a: {transfer: {to: '+18005550199', headers: {X-A: '{{ b }}'}}, on_failure: a}", "uses the variable 'b'"),
        ("a: {transfer: '+18005550199', on_failure: b}", "leads to 'b', which does not exist"),
        ("a: {record: b, then: hangup}", "'record' must be a block of keys"),
        ("a: {record: {into: b, max: 1h}, then: hangup}", "'max' must be a time from 1s to 600s"),
        ("a: {record: {into: b, otherwise: c}, then: hangup}", "leads to 'c', which does not exist"),
        ("a: {send_sms: 'Hi {{ who }}', then: hangup}", "uses the variable 'who', which is not declared"),
        ("a: {send_sms: 'Hi {{', then: hangup}", "'{{' and '}}' stand only around the name of a variable"),
        (f"a: {{send_sms: {'x' * 1601}, then: hangup}}", "longer than 1600 characters"),
        ("a: {outcome: 'Two Words', then: hangup}", "'outcome' cannot be 'Two Words'"),
        ("a: {opt_out: planet}", "'opt_out' must be tenant or sender, not 'planet'"),
        ("a: {opt_out: tenant, next: a}", "an opt-out ends the call at once"),
        ("a: {hangup: now}", "'hangup' takes no value: write {hangup}"),
        ("a: {menu: {choices: {'1': a}}}", "'prompt' is missing: what does the person hear?"),
        ("a: {menu: {prompt: {say: Hi}, choices: {}}}", "'choices' is empty: no key leads anywhere"),
        ("a: {menu: {prompt: {say: Hi}, choices: {'12': a}}}", "a choice is one key, 0 to 9, * or #, not '12'"),
        ("a: {menu: {prompt: Hi, choices: {'1': a}}}", "a prompt is {say: …}, {play: …} or {pause: …}, or a list"),
        (
            "a: {menu: {prompt: {say: Hi}, choices: {'1': a}, attempts: 0}}",
            "'attempts' must be a number from 1 to 10, not '0'",
        ),
        ("a: {menu: [1]}", "'menu' must be a block of keys"),
        (
            "a: {collect: {prompt: {say: Hi}, into: b, min_digits: 5, max_digits: 4}, then: hangup}",
            "'min_digits' is more than",
        ),
        ("a: {collect: {prompt: {say: Hi}, into: b}, then: hangup}", "'max_digits' is missing"),
        ("a: {branch: {on: b, cases: {}, otherwise: a}}", "uses the variable 'b', which is not declared"),
        ("a: {set: {b: '{{ c }}'}, then: hangup}", "uses the variable 'c', which is not declared"),
        ("a: {set: {B: c}, then: hangup}", "a variable cannot be named 'B'"),
        ("a: word", "a node is a block with one verb"),
    ],
)
def test_a_fault_in_a_node_is_told_with_its_line_and_node(text: str, told: str) -> None:
    found = problems(nodes(text))

    assert [(line, node) for line, node, _ in found] == [(5, "a")] * len(found)
    assert any(text.startswith(told) for _, _, text in found)


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        ("", 1, "the file is empty"),
        ("- a", 1, "a dialplan is a block of keys"),
        ("a: b: c", 1, "not YAML: mapping values are not allowed"),
        ("a: 'b", 1, "not YAML: "),
        ("a: b\n---\nc: d", 2, "a second document: one file holds one"),
        ("[" * 5000, 1, "nested too deeply"),
        ("x" * 300_000, 1, "larger than 128 KiB"),
        (nodes("a: {hangup}\nnodes: {}"), 6, "the key 'nodes' stands here twice"),
        (nodes("a: {menu: {prompt: {say: Hi}, choices: {1: a, '1': a}}}"), 5, "the key '1' stands here twice"),
        (nodes("a: {hangup}\n? [b]\n: c"), 6, "a key must be a word"),
        (nodes("a: &b {hangup}\n  c: *b"), 6, "aliases (&name, *name) are not supported"),
        (nodes("a: &b {say: *b}"), 5, "aliases (&name, *name) are not supported"),
        (nodes("hangup: {hangup}"), 5, "a node cannot be named 'hangup'"),
        (nodes("b: {hangup}"), 3, "'start' names the node 'a', which does not exist"),
        (nodes("a: {hangup}\nmachine: {leave: b}"), 6, "'machine' leaves the node 'b', which does not exist"),
        (nodes("a: {hangup}\nmachine: {leave: a}"), 6, "a machine can only be left a say or a play, which 'a' is not"),
        (nodes("a: {hangup}\nmachine: robot"), 6, "'machine' must be human or hangup, not 'robot'"),
        (nodes("a: {hangup}\nvariables: {b: {}}"), 6, "variable 'b' needs either 'required: true' or a 'default'"),
        (nodes("a: {hangup}\nvariables: {b: {required: true, default: c}}"), 6, "variable 'b' needs either"),
        (nodes("a: {hangup}\nvariables: {b: {required: yes}}"), 6, "'required' must be true or false, not 'yes'"),
        (nodes("a: {hangup}\nvariables: {b: {default: x, type: digits}}"), 6, "the default of 'b' must be digits"),
        (
            nodes("a: {hangup}\ninbound: true\nvariables: {b: {required: true}}"),
            7,
            "nobody gives 'b' to an inbound call",
        ),
        (nodes("a: {hangup}\ncolour: red"), 6, "unknown key 'colour'; known here: inbound, language"),
        (nodes("a: {hangup}", head="name: X\nlanguage: en-US\nstart: a\n"), 1, "'name' cannot be 'X'"),
        (nodes("a: {hangup}", head="name: x\nlanguage: English\nstart: a\n"), 2, "'language' cannot be 'English'"),
        (nodes("a: {hangup}", head="name: x\nstart: a\n\n"), 1, "'language' is missing"),
    ],
)
def test_a_fault_in_the_file_is_told_with_its_line(source: str, line: int, told: str) -> None:
    assert any(at == line and text.startswith(told) for at, _, text in problems(source)), problems(source)


def test_everything_wrong_is_told_at_once() -> None:
    found = problems(
        nodes("a: {say: Hi, next: b}\n  c: {outcome: A B, then: hangup}\n  e: {pause: soon, then: hangup}\nextra: 1")
    )

    assert [line for line, _, _ in sorted(found)] == [5, 6, 7, 8]


def test_a_node_that_could_not_be_read_is_not_also_called_missing() -> None:
    assert len(problems(nodes("a: {say: Hi, next: b}\n  b: {pause: 5, then: hangup}"))) == 1


def test_a_problem_reads_like_a_compilers() -> None:
    with pytest.raises(BadDialplan, match=r"^x\.yaml:5: error: node a: 'record' must be a block of keys$"):
        load(nodes("a: {record: b}"), file="x.yaml")
