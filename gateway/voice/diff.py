"""What changed between two versions of a plan: words, keys, branches and times by node, never lines of a file. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from gateway.voice.dialplan import Node, Plan
from gateway.voice.facts import settings_of, told_of, told_of_machine, verb_of, ways_of, words_of


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different. `node` is "" for the plan as a whole; lines are 0 where there is none."""

    node: str
    what: str
    before_line: int = 0
    after_line: int = 0

    def __str__(self) -> str:
        """In one line."""
        return f"{self.node}: {self.what}" if self.node else self.what


def changes(before: Plan, after: Plan) -> list[Change]:
    """Everything in which two versions differ, the plan's own first, then node by node in the order of the newer."""
    renamed = _renamed(before, after)
    return [*_of_plan(before, after, renamed), *_of_nodes(before, after, renamed)]


def _renamed(before: Plan, after: Plan) -> dict[str, str]:
    """Nodes that only have another name now: old name -> new name."""
    gone = [name for name in before.nodes if name not in after.nodes]
    new = [name for name in after.nodes if name not in before.nodes]
    found: dict[str, str] = {}
    for old in gone:
        same = [name for name in new if _is_same(before.nodes[old], after.nodes[name]) and name not in found.values()]
        if len(same) == 1:
            found[old] = same[0]
    return found


def _is_same(one: Node, other: Node) -> bool:
    return replace(one, line=0) == replace(other, line=0)


def _of_plan(before: Plan, after: Plan, renamed: Mapping[str, str]) -> Iterator[Change]:
    for what, old, new in (
        ("name", before.name, after.name),
        ("language", before.language, after.language),
        ("languages", ", ".join(before.languages), ", ".join(after.languages)),
        ("start", renamed.get(before.start, before.start), after.start),
        ("machine", told_of_machine(before.machine), told_of_machine(after.machine)),
        ("inbound", str(before.inbound).lower(), str(after.inbound).lower()),
    ):
        if old != new:
            yield Change("", f"{what}: {old} -> {new}")
    olds = {name: told_of(variable) for name, variable in before.variables.items()}
    news = {name: told_of(variable) for name, variable in after.variables.items()}
    for what in _differences("variable ", olds, news):
        yield Change("", what)


def _of_nodes(before: Plan, after: Plan, renamed: Mapping[str, str]) -> Iterator[Change]:
    former = {new: old for old, new in renamed.items()}
    for name, node in after.nodes.items():
        old_name = former.get(name, name)
        old = before.nodes.get(old_name)
        if old is None:
            yield Change(name, f"new {verb_of(node)}", after_line=node.line)
            continue
        if old_name != name:
            yield Change(name, f"was called {old_name}", old.line, node.line)
        for what in _of_node(old, node, renamed):
            yield Change(name, what, old.line, node.line)
    for name, node in before.nodes.items():
        if name not in after.nodes and name not in renamed:
            yield Change(name, f"{verb_of(node)} is gone", before_line=node.line)


def _of_node(old: Node, new: Node, renamed: Mapping[str, str]) -> Iterator[str]:
    if verb_of(old) != verb_of(new):
        yield f"was a {verb_of(old)}, is a {verb_of(new)}"
    texts, now = words_of(old), words_of(new)
    for label in dict.fromkeys([*texts, *now]):
        if texts.get(label, "") != now.get(label, ""):
            yield f"{label}: {changed_words(texts.get(label, ''), now.get(label, ''))}"
    ways = {way: renamed.get(target, target) for way, target in ways_of(old).items()}
    yield from _differences("leads on ", ways, ways_of(new), only="leads")
    yield from _differences("", settings_of(old), settings_of(new))


def _differences(prefix: str, old: Mapping[str, str], new: Mapping[str, str], *, only: str = "") -> Iterator[str]:
    for label in dict.fromkeys([*old, *new]):
        told = f"{prefix}{label}" if label else only
        if label not in new:
            yield f"{told}: {old[label]} is gone"
        elif label not in old:
            yield f"{told}: new, {new[label]}"
        elif old[label] != new[label]:
            yield f"{told}: {old[label] or 'nothing'} -> {new[label] or 'nothing'}"


def changed_words(old: str, new: str) -> str:
    """The newer text with what went in [-…-] and what came in {+…+}, word by word."""
    before, after = old.split(), new.split()
    told: list[str] = []
    for kind, from_old, to_old, from_new, to_new in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            told += after[from_new:to_new]
            continue
        if gone := " ".join(before[from_old:to_old]):
            told.append(f"[-{gone}-]")
        if come := " ".join(after[from_new:to_new]):
            told.append(f"{{+{come}+}}")
    return " ".join(told)
