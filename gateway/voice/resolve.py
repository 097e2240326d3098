"""Whether the nodes of a plan fit together: targets that exist, variables that somebody gives."""

from collections.abc import Iterator

from gateway.voice import template
from gateway.voice.dialplan import (
    HANGUP,
    INBOUND_VARIABLES,
    BranchNode,
    CollectNode,
    Node,
    Pause,
    Plan,
    SetNode,
    SmsNode,
    SpeakNode,
    TransferNode,
)
from gateway.voice.values import LANGUAGE
from gateway.voice.ways import spoken_parts, targets
from gateway.voice.yaml_source import Problems


def check_targets(plan: Plan, problems: Problems) -> None:
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


def check_variables(plan: Plan, problems: Problems) -> None:
    """Note variables that nothing declares, sets or collects; and what nobody could give to an inbound call."""
    known = plan.variables.keys() | plan.late_variables() | ({LANGUAGE} if plan.is_multilingual else set())
    for name, node in plan.nodes.items():
        for used in dict.fromkeys(used_variables(node)):
            if used and used not in known:
                problems.add(node.line, f"uses the variable {used!r}, which is not declared", node=name)
    chosen = plan.variables.get(LANGUAGE) if plan.is_multilingual else None
    if chosen and chosen.default is not None and chosen.default not in plan.languages:
        problems.add(chosen.line, f"the default of {LANGUAGE!r} must be one of {', '.join(plan.languages)}")
    for variable in plan.variables.values():
        if plan.inbound and variable.default is None and variable.name not in INBOUND_VARIABLES:
            told = ", ".join(sorted(INBOUND_VARIABLES))
            problems.add(variable.line, f"nobody gives {variable.name!r} to an inbound call, which knows only: {told}")


def used_variables(node: Node) -> Iterator[str]:
    """Names of the variables whose values the node needs."""
    yield from spoken_variables(node)
    match node:
        case SetNode(values=texts) | TransferNode(headers=texts):
            for text in texts.values():
                yield from template.names(text)
        case BranchNode(on=name) | CollectNode(equals=name):
            yield name


def spoken_variables(node: Node) -> Iterator[str]:
    """Names of the variables that the node lets the person hear or read."""
    for part in spoken_parts(node):
        if not isinstance(part, Pause):
            yield from template.names(part.text)
    if isinstance(node, SmsNode):
        for text in node.bodies.values():
            yield from template.names(text)
