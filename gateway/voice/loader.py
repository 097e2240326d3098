"""YAML text to a Plan. Everything that is wrong with a file is told at once, with line and node.

What comes out can be run as it is: verbs are known (`verbs`), targets exist and variables are declared (`resolve`).
Whether it *should* be run (silence, opt-out keys, prompts that exist) is for `check`.
"""

import re
from typing import Final, cast

from gateway.errors.voice import BadDialplan
from gateway.voice import template, values
from gateway.voice.dialplan import HANGUP, VARIABLE_TYPES, Machine, Node, Plan, Variable, VariableType
from gateway.voice.plan_parts import LANGUAGE, Languages, any_text
from gateway.voice.resolve import check_targets, check_variables
from gateway.voice.verbs import node_of
from gateway.voice.yaml_source import Block, Fields, Items, Problems, Scalar, read

MAX_NODES: Final = 500

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NODE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def load(source: str, *, file: str) -> Plan:
    """Read one dialplan.

    source:  the YAML text.
    file:    its name, for problems; nothing is opened.
    Returns: a Plan that the engine can run.
    Raises:  BadDialplan with every problem found.
    """
    problems = Problems(file)
    plan = parse(source, problems)
    if problems.found or plan is None:
        raise BadDialplan(tuple(problems.found))
    return plan


def parse(source: str, problems: Problems) -> Plan | None:
    """Read as much of a plan as can be read; what is wrong goes to `problems`. None when it is no plan at all."""
    root = read(source, problems)
    if root is None:
        return None
    if not isinstance(root, Block):
        problems.add(root.line, "a dialplan is a block of keys: name, language, start, nodes …")
        return None
    fields = Fields(root, problems)
    name = fields.text("name", pattern=_NAME)
    language = fields.text("language", pattern=LANGUAGE)
    languages = _languages(fields, language)
    plan = Plan(
        name=name,
        language=language,
        languages=languages,
        start=fields.text("start"),
        inbound=fields.flag("inbound"),
        variables=_variables(fields),
        machine=_machine(fields),
        nodes=_nodes(fields, languages),
        file=problems.file,
        line=fields.line("start"),
    )
    fields.done()
    check_targets(plan, problems)
    check_variables(plan, problems)
    return plan


def _languages(top: Fields, language: str) -> Languages:
    """Every language of the plan, its `language` first."""
    value = top.value("languages")
    if value is None:
        return (language,)
    found = [item.text for item in value.items if isinstance(item, Scalar)] if isinstance(value, Items) else []
    if not found or any(not LANGUAGE.fullmatch(each) for each in found) or len(set(found)) < len(found):
        top.wrong("languages", "'languages' is a list of different languages, such as [en-US, es-US]")
    elif language not in found:
        top.wrong("languages", f"'languages' leaves out {language!r}, which is the plan's 'language'")
    return (language, *(each for each in found if each != language))


def _variables(top: Fields) -> dict[str, Variable]:
    block = top.fields("variables") if top.value("variables") else None
    found = {}
    for name, value in block.block.items.items() if block else ():
        if not template.NAME.fullmatch(name):
            top.problems.add(value.line, f"a variable cannot be named {name!r}: use a-z, 0-9 and _")
        if not isinstance(value, Block):
            top.problems.add(value.line, f"variable {name!r} must be a block: {{required: true}} or {{default: …}}")
            continue
        fields = Fields(value, top.problems)
        has_default = "default" in value.items
        if fields.flag("required") == has_default:
            top.problems.add(value.line, f"variable {name!r} needs either 'required: true' or a 'default'")
        default = any_text(fields, "default") if has_default else None
        kind = cast("VariableType", fields.choice("type", VARIABLE_TYPES, default="text"))
        if default and (why := values.why_not(kind, default)):
            fields.wrong("default", f"the default of {name!r} {why}, as its type says")
        is_private = fields.flag("private")
        fields.done()
        found[name] = Variable(name, default, kind, is_private, value.line)
    return found


def _machine(top: Fields) -> Machine:
    value = top.value("machine")
    if isinstance(value, Block):
        fields = Fields(value, top.problems)
        machine = Machine("leave", fields.text("leave") or None, value.line)
        fields.done()
        return machine
    if top.choice("machine", ("human", HANGUP), default="human") == HANGUP:
        return Machine("hangup", line=top.line("machine"))
    return Machine("human")


def _nodes(top: Fields, languages: Languages) -> dict[str, Node]:
    block = top.fields("nodes")
    nodes: dict[str, Node] = {}
    for name, value in block.block.items.items() if block else ():
        if not _NODE.fullmatch(name) or name == HANGUP:
            top.problems.add(value.line, f"a node cannot be named {name!r}")
        elif not isinstance(value, Block):
            top.problems.add(value.line, "a node is a block with one verb", node=name)
        elif node := node_of(Fields(value, top.problems, node=name), languages):
            nodes[name] = node
    if block and len(block.block.items) > MAX_NODES:
        top.problems.add(block.block.line, f"more than {MAX_NODES} nodes")
    return nodes
