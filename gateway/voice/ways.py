"""Where a node leads, what it says, and which question a key answers. Pure."""

from dataclasses import dataclass

from gateway.voice.dialplan import (
    HANGUP,
    AskNode,
    BranchNode,
    CollectNode,
    HangupNode,
    Localised,
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Part,
    Plan,
    PlanPart,
    RecordNode,
    SetNode,
    SmsNode,
    SpeakNode,
    TransferNode,
)


def targets(node: Node) -> tuple[str, ...]:
    """Every place the node may lead to, HANGUP included, in the order of the file."""
    match node:
        case MenuNode(choices=choices, otherwise=otherwise):
            return (*choices.values(), *((otherwise,) if otherwise else ()))
        case CollectNode(next=following, otherwise=otherwise):
            return (following, *((otherwise,) if otherwise else ()))
        case _:
            return quiet_targets(node)


def quiet_targets(node: Node) -> tuple[str, ...]:
    """Where the node may lead while nobody presses a key."""
    match node:
        case MenuNode(otherwise=otherwise) | CollectNode(otherwise=otherwise):
            return (otherwise or HANGUP,)
        case BranchNode(cases=cases, otherwise=otherwise):
            return (*cases.values(), otherwise)
        case TransferNode(on_failure=on_failure):
            return (on_failure,)
        case RecordNode(next=following, otherwise=otherwise):
            return (following, otherwise)
        case OptOutNode() | HangupNode():
            return (HANGUP,)
        case _:
            return (node.next,)


def spoken_parts(node: Node) -> tuple[Part, ...]:
    """The same, with every language's part of what is localised."""
    parts: list[Part] = []
    for part in parts_of(node):
        parts.extend(part.by_language.values() if isinstance(part, Localised) else (part,))
    return tuple(parts)


def parts_of(node: Node) -> tuple[PlanPart, ...]:
    """What the node lets the person hear."""
    match node:
        case SpeakNode(parts=parts):
            return parts
        case MenuNode(prompt=prompt) | CollectNode(prompt=prompt) | RecordNode(prompt=prompt):
            return prompt
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class Listening:
    """The question a key is meant for, and the nodes from here to it (the last is the question's own, if not here)."""

    way: tuple[str, ...]
    question: AskNode


def listening(plan: Plan, name: str) -> Listening | None:
    """The menu or collect a key pressed during node `name` is meant for, or None.

    That is the first one reached through spoken nodes alone. Where something else lies between (an outcome, a
    branch), or no question follows, a key means nothing yet: it must not cut a notice short.
    """
    way: list[str] = []
    node = plan.nodes[name]
    while isinstance(node, SpeakNode) and node.next in plan.nodes and node.next not in way:
        way.append(node.next)
        node = plan.nodes[node.next]
    return Listening(tuple(way), node) if isinstance(node, AskNode) else None


def opt_out_at(plan: Plan, name: str) -> OptOutNode | None:
    """The opt-out that entering `name` is, with no further word or question: the law lets nothing stand between."""
    seen: set[str] = set()
    while name != HANGUP and name not in seen:
        seen.add(name)
        node = plan.nodes[name]
        if not isinstance(node, OutcomeNode | SetNode | SmsNode):
            return node if isinstance(node, OptOutNode) else None
        name = node.next
    return None


def opts_out(plan: Plan, name: str) -> bool:
    """Whether entering `name` opts out: see `opt_out_at`."""
    return opt_out_at(plan, name) is not None


def opt_out_by(plan: Plan, name: str, keys: str) -> tuple[str, OptOutNode] | None:
    """The key, of those pressed during node `name`, that opts out, and how. The first that answers is what counts."""
    meant = listening(plan, name)
    if meant is None or not isinstance(meant.question, MenuNode):
        return None
    choices = meant.question.choices
    key = next((key for key in keys if key in choices), "")
    node = opt_out_at(plan, choices[key]) if key else None
    return (key, node) if node is not None else None
