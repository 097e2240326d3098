"""What a node says and where it leads, as short lines: what a comparison compares and a drawing shows. Pure."""

from collections.abc import Iterator

from gateway.voice.dialplan import (
    HANGUP,
    BranchNode,
    CollectNode,
    HangupNode,
    Localised,
    Machine,
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Pause,
    PlanPart,
    Play,
    RecordNode,
    Say,
    SetNode,
    SmsNode,
    SpeakNode,
    TransferNode,
    Variable,
)
from gateway.voice.ways import parts_of


def words_of(node: Node) -> dict[str, str]:
    """Every text of a node, by what it is: "says", "says in es-US", "plays", "texts in en-US" …."""
    found: dict[str, list[str]] = {}
    for part in parts_of(node):
        for label, text in _words(part):
            found.setdefault(label, []).append(text)
    if isinstance(node, SmsNode):
        is_one = len(node.bodies) == 1
        for language, body in node.bodies.items():
            found["texts" if is_one else f"texts in {language}"] = [body]
    return {label: " ".join(texts) for label, texts in found.items()}


def heard_in(node: Node, language: str) -> str:
    """What a node says, or texts, to somebody of that language, from its beginning to its end."""
    if isinstance(node, SmsNode):
        return node.bodies.get(language) or next(iter(node.bodies.values()))
    texts = (dict(_words(part)) for part in parts_of(node))
    return " ".join(each.get(f"says in {language}") or next(iter(each.values()), "") for each in texts)


def _words(part: PlanPart) -> Iterator[tuple[str, str]]:
    match part:
        case Localised(by_language=parts):
            for language, each in parts.items():
                yield f"says in {language}", each.text if isinstance(each, Say) else _played(each)
        case Say(text=text):
            yield "says", text
        case Play():
            yield "says", _played(part)
        case Pause(seconds=seconds):
            yield "says", f"(pause of {seconds:g} s)"


def _played(part: Play) -> str:
    return f"(plays {part.name})" if not part.text else f"(plays {part.name}: {part.text})"


def ways_of(node: Node) -> dict[str, str]:
    """Where a node leads, by how it is left; "" is the only way."""
    match node:
        case MenuNode(choices=choices, otherwise=otherwise):
            return {**choices, "otherwise": otherwise or HANGUP}
        case CollectNode(next=following, otherwise=otherwise):
            return {"digits": following, "otherwise": otherwise or HANGUP}
        case BranchNode(cases=cases, otherwise=otherwise):
            return {**{f'"{value}"': target for value, target in cases.items()}, "otherwise": otherwise}
        case TransferNode(on_failure=on_failure):
            return {"fails": on_failure}
        case RecordNode(next=following, otherwise=otherwise):
            return {"": following} if otherwise == following else {"recorded": following, "otherwise": otherwise}
        case OptOutNode() | HangupNode():
            return {"": HANGUP}
        case _:
            return {"": node.next}


def settings_of(node: Node) -> dict[str, str]:
    """Everything else about a node."""
    match node:
        case MenuNode():
            return {"timeout": f"{node.timeout:g} s", "attempts": str(node.attempts)}
        case CollectNode():
            size = {"digits": f"{node.min_digits} to {node.max_digits}", "finish key": node.finish_key or "none"}
            kept = {"into": node.into, "equals": node.equals}
            return {
                **size,
                **kept,
                "timeout": f"{node.timeout:g} s",
                "gap": f"{node.gap:g} s",
                "attempts": str(node.attempts),
            }
        case BranchNode(on=name):
            return {"on": name}
        case SetNode(values=values):
            return {f"sets {name}": value for name, value in values.items()}
        case OutcomeNode(word=word):
            return {"outcome": word}
        case TransferNode():
            headers = {f"header {name}": value for name, value in node.headers.items()}
            return {"to": node.to, "ring": f"{node.ring:g} s", **headers}
        case RecordNode():
            sizes = {"max": f"{node.max_seconds:g} s", "silence": f"{node.silence:g} s"}
            return {"into": node.into, **sizes, "finish key": node.finish_key or "none"}
        case OptOutNode(scope=scope):
            return {"scope": scope}
        case SpeakNode(announces=announces) if announces:
            return {"announces": announces}
        case _:
            return {}


def verb_of(node: Node) -> str:
    """The verb of a node, as plans write it."""
    if isinstance(node, SpeakNode):
        first = node.parts[0] if node.parts else Pause(0)
        plays = Play in {type(part) for part in first.by_language.values()} if isinstance(first, Localised) else False
        return "pause" if isinstance(first, Pause) else "play" if plays or isinstance(first, Play) else "say"
    return _VERBS[type(node)]


_VERBS = {
    MenuNode: "menu",
    CollectNode: "collect",
    BranchNode: "branch",
    SetNode: "set",
    OutcomeNode: "outcome",
    TransferNode: "transfer",
    RecordNode: "record",
    SmsNode: "send_sms",
    OptOutNode: "opt_out",
    HangupNode: "hangup",
}


def told_of(variable: Variable) -> str:
    """A variable in one line."""
    need = "required" if variable.default is None else f"default {variable.default!r}"
    return f"{variable.type}, {need}{', private' if variable.is_private else ''}"


def told_of_machine(machine: Machine) -> str:
    """What is done to a machine, in one line."""
    return f"leave {machine.node}" if machine.action == "leave" else machine.action
