"""YAML text to a Plan. Everything that is wrong with a file is told at once, with line and node.

What comes out can be run as it is: verbs are known, targets exist, variables are declared. Whether it *should* be
run (silence, opt-out keys, prompts that exist) is for `check`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from gateway.errors.voice import BadDialplan
from gateway.voice import template
from gateway.voice.dialplan import (
    HANGUP,
    INBOUND_VARIABLES,
    KEYS,
    SCOPES,
    VARIABLE_TYPES,
    BranchNode,
    CollectNode,
    HangupNode,
    Machine,
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Part,
    Pause,
    Plan,
    Play,
    Say,
    Scope,
    SetNode,
    SpeakNode,
    Variable,
    VariableType,
    parts_of,
    targets,
)
from gateway.voice.yaml_source import Block, Fields, Items, Problems, Scalar, Value, read

MAX_NODES: Final = 500
NOT_YET: Final = ("transfer", "record", "send_sms")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NODE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_PROMPT: Final = re.compile(r"[a-z0-9-]{1,64}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")


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
    language = fields.text("language", pattern=_LANGUAGE)
    plan = Plan(
        name=name,
        language=language,
        start=fields.text("start"),
        inbound=fields.flag("inbound"),
        variables=_variables(fields),
        machine=_machine(fields),
        nodes=_nodes(fields, language),
        file=problems.file,
        line=fields.line("start"),
    )
    fields.done()
    _check_targets(plan, problems)
    _check_variables(plan, problems)
    return plan


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
        default = _any_text(fields, "default") if has_default else None
        kind = cast("VariableType", fields.choice("type", VARIABLE_TYPES, default="text"))
        if kind == "digits" and default and not (default.isascii() and default.isdigit()):
            fields.wrong("default", f"the default of {name!r} must be digits, as its type says")
        fields.done()
        found[name] = Variable(name, default, kind, value.line)
    return found


def _any_text(fields: Fields, key: str) -> str:
    """The text at `key`, which may be empty."""
    value = fields.value(key)
    if isinstance(value, Scalar):
        return "" if value.is_null else value.text
    fields.wrong(key, f"{key!r} must be a text")
    return ""


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


def _nodes(top: Fields, language: str) -> dict[str, Node]:
    block = top.fields("nodes")
    nodes: dict[str, Node] = {}
    for name, value in block.block.items.items() if block else ():
        if not _NODE.fullmatch(name) or name == HANGUP:
            top.problems.add(value.line, f"a node cannot be named {name!r}")
        elif not isinstance(value, Block):
            top.problems.add(value.line, "a node is a block with one verb", node=name)
        elif node := _node(Fields(value, top.problems, node=name), language):
            nodes[name] = node
    if block and len(block.block.items) > MAX_NODES:
        top.problems.add(block.block.line, f"more than {MAX_NODES} nodes")
    return nodes


def _node(fields: Fields, language: str) -> Node | None:
    verbs = [key for key in fields.block.items if key in _VERBS or key in NOT_YET]
    if len(verbs) != 1:
        told = "has no verb" if not verbs else f"has {len(verbs)} verbs ({', '.join(verbs)})"
        fields.problems.add(fields.block.line, f"{told}; give one of {', '.join(_VERBS)}", node=fields.node)
        return None
    if verbs[0] in NOT_YET:
        fields.wrong(verbs[0], f"the verb {verbs[0]!r} is not supported yet")
        return None
    node = _VERBS[verbs[0]](fields, language)
    fields.done()
    return node


def _next(fields: Fields) -> str:
    """Where the node leads: `next: NODE`, or `then: hangup`."""
    then = fields.choice("then", (HANGUP,), default="") if fields.value("then") else ""
    following = fields.text("next") if fields.value("next") else ""
    if "then" in fields.block.items and "next" in fields.block.items:
        fields.wrong("then", "has both 'next' and 'then'; keep one")
    if "then" not in fields.block.items and "next" not in fields.block.items:
        fields.wrong("next", "where does it go? add 'next: NODE' or 'then: hangup'")
    return following or then or HANGUP


def _part(fields: Fields, language: str) -> Part | None:
    """One thing to hear: say, play or pause; with its own language if one is given."""
    spoken = fields.text("language", default=language, pattern=_LANGUAGE) if fields.value("language") else language
    if "say" in fields.block.items:
        text = fields.text("say")
        if not template.is_well_formed(text):
            fields.wrong("say", "'{{' and '}}' stand only around the name of a variable: {{ name }}")
        return Say(text, spoken)
    if "play" in fields.block.items:
        return Play(fields.text("play", pattern=_PROMPT), spoken)
    if "language" in fields.block.items:
        fields.wrong("language", "a pause has no language")
    return Pause(fields.seconds("pause", low=0.1, high=60))


def _prompt(fields: Fields, language: str) -> tuple[Part, ...]:
    """The value of `prompt`: one {say|play|pause} or a list of them."""
    value = fields.value("prompt")
    items: tuple[Value, ...] = value.items if isinstance(value, Items) else (value,) if value else ()
    if not items:
        fields.wrong("prompt", "'prompt' is missing: what does the person hear?")
    parts = []
    for item in items:
        verbs = [key for key in item.items if key in {"say", "play", "pause"}] if isinstance(item, Block) else []
        if not isinstance(item, Block) or len(verbs) != 1:
            fields.problems.add(item.line, "a prompt is {say: …}, {play: …} or {pause: …}, or a list", node=fields.node)
            continue
        inner = Fields(item, fields.problems, node=fields.node)
        if part := _part(inner, language):
            parts.append(part)
        inner.done()
    return tuple(parts)


def _speak(fields: Fields, language: str) -> Node | None:
    part = _part(fields, language)
    return SpeakNode((part,) if part else (), _next(fields), fields.block.line)


def _menu(fields: Fields, language: str) -> Node | None:
    menu = fields.fields("menu")
    if menu is None:
        return None
    choices = menu.fields("choices")
    targets_by_key = {}
    for key in choices.block.items if choices else ():
        if choices and key in KEYS:
            targets_by_key[key] = choices.text(key)
        elif choices:
            choices.wrong(key, f"a choice is one key, 0 to 9, * or #, not {key!r}")
    node = MenuNode(
        prompt=_prompt(menu, language),
        choices=targets_by_key,
        timeout=menu.seconds("timeout", default=5.0, low=1, high=60),
        attempts=menu.integer("attempts", default=3, low=1, high=10),
        otherwise=menu.text("otherwise") if menu.value("otherwise") else None,
        line=fields.block.line,
    )
    if choices and not choices.block.items:
        menu.wrong("choices", "'choices' is empty: no key leads anywhere")
    menu.done()
    return node


def _collect(fields: Fields, language: str) -> Node | None:
    collect = fields.fields("collect")
    if collect is None:
        return None
    finish = collect.choice("finish_key", ("#", "*", "none"), default="#")
    timeout = collect.seconds("timeout", default=5.0, low=1, high=60)
    node = CollectNode(
        prompt=_prompt(collect, language),
        into=collect.text("into", pattern=template.NAME),
        min_digits=collect.integer("min_digits", default=1, low=1, high=32),
        max_digits=collect.integer("max_digits", low=1, high=32),
        finish_key=None if finish == "none" else finish,
        timeout=timeout,
        gap=collect.seconds("gap", default=timeout, low=1, high=60),
        attempts=collect.integer("attempts", default=3, low=1, high=10),
        otherwise=collect.text("otherwise") if collect.value("otherwise") else None,
        next=_next(fields),
        line=fields.block.line,
    )
    if node.min_digits > node.max_digits:
        collect.wrong("min_digits", "'min_digits' is more than 'max_digits'")
    collect.done()
    return node


def _branch(fields: Fields, _language: str) -> Node | None:
    branch = fields.fields("branch")
    if branch is None:
        return None
    cases = branch.fields("cases")
    node = BranchNode(
        on=branch.text("on", pattern=template.NAME),
        cases={value: cases.text(value) for value in cases.block.items} if cases else {},
        otherwise=branch.text("otherwise"),
        line=fields.block.line,
    )
    branch.done()
    return node


def _set(fields: Fields, _language: str) -> Node | None:
    block = fields.fields("set")
    values = {name: _any_text(block, name) for name in block.block.items} if block else {}
    for name, text in values.items():
        if block and not template.NAME.fullmatch(name):
            block.wrong(name, f"a variable cannot be named {name!r}: use a-z, 0-9 and _")
        if block and not template.is_well_formed(text):
            block.wrong(name, "'{{' and '}}' stand only around the name of a variable: {{ name }}")
    return SetNode(values, _next(fields), fields.block.line)


def _outcome(fields: Fields, _language: str) -> Node | None:
    return OutcomeNode(fields.text("outcome", pattern=_WORD), _next(fields), fields.block.line)


def _opt_out(fields: Fields, _language: str) -> Node | None:
    scope = cast("Scope", fields.choice("opt_out", SCOPES, default="tenant"))
    if fields.value("next"):
        fields.wrong("next", "an opt-out ends the call at once: write 'then: hangup'")
    elif fields.value("then"):
        _next(fields)
    return OptOutNode(scope, fields.block.line)


def _hangup(fields: Fields, _language: str) -> Node | None:
    value = fields.value(HANGUP)
    if not isinstance(value, Scalar) or not value.is_null:
        fields.wrong(HANGUP, "'hangup' takes no value: write {hangup}")
    return HangupNode(fields.block.line)


_VERBS: Final[Mapping[str, Callable[[Fields, str], Node | None]]] = {
    "say": _speak,
    "play": _speak,
    "pause": _speak,
    "menu": _menu,
    "collect": _collect,
    "branch": _branch,
    "set": _set,
    "outcome": _outcome,
    "opt_out": _opt_out,
    "hangup": _hangup,
}


def _check_targets(plan: Plan, problems: Problems) -> None:
    """Note targets that do not exist. A node that could not be read is named in its own problem, not here."""
    broken = {problem.node for problem in problems.found if problem.node}
    known = plan.nodes.keys() | broken | {HANGUP}
    if plan.start and (plan.start not in known or plan.start == HANGUP):
        problems.add(plan.line, f"'start' names the node {plan.start!r}, which does not exist")
    for name, node in plan.nodes.items():
        for target in dict.fromkeys(targets(node)):
            if target and target not in known:
                problems.add(node.line, f"leads to {target!r}, which does not exist", node=name)
    leave = plan.machine.node
    if leave and leave not in known:
        problems.add(plan.machine.line, f"'machine' leaves the node {leave!r}, which does not exist")
    elif leave and leave not in broken and not isinstance(plan.nodes.get(leave), SpeakNode):
        problems.add(plan.machine.line, f"a machine can only be left a say or a play, which {leave!r} is not")


def _check_variables(plan: Plan, problems: Problems) -> None:
    """Note variables that nothing declares, sets or collects; and what nobody could give to an inbound call."""
    known = plan.variables.keys() | plan.late_variables()
    for name, node in plan.nodes.items():
        for used in dict.fromkeys(used_variables(node)):
            if used and used not in known:
                problems.add(node.line, f"uses the variable {used!r}, which is not declared", node=name)
    for variable in plan.variables.values():
        if plan.inbound and variable.default is None and variable.name not in INBOUND_VARIABLES:
            told = ", ".join(sorted(INBOUND_VARIABLES))
            problems.add(variable.line, f"nobody gives {variable.name!r} to an inbound call, which knows only: {told}")


def used_variables(node: Node) -> Iterator[str]:
    """Names of the variables whose values the node needs."""
    for part in parts_of(node):
        if isinstance(part, Say):
            yield from template.names(part.text)
    if isinstance(node, SetNode):
        for text in node.values.values():
            yield from template.names(text)
    if isinstance(node, BranchNode):
        yield node.on
