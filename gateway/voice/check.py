"""Whether a plan should be run: what would annoy, trap or mislead the people it calls."""

from collections import deque
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Literal

from gateway.errors.voice import BadDialplan, PlanProblem
from gateway.voice import template
from gateway.voice.dialplan import (
    HANGUP,
    INBOUND_VARIABLES,
    SIP,
    AskNode,
    CollectNode,
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Plan,
    Play,
    RecordNode,
    SetNode,
    TransferNode,
)
from gateway.voice.loader import parse
from gateway.voice.resolve import spoken_variables, used_variables
from gateway.voice.values import LANGUAGE
from gateway.voice.ways import listening, opts_out, quiet_targets, spoken_parts, targets
from gateway.voice.yaml_source import Problems

PromptNames = Callable[[str], AbstractSet[str]]


def load_checked(
    source: str, *, file: str, prompts: PromptNames, broadcast: bool = False, by_twilio: bool = False
) -> tuple[Plan, tuple[PlanProblem, ...]]:
    """Read a plan and check it, so that everything wrong with it is told in one answer.

    source, file:                  as for `loader.load`.
    prompts, broadcast, by_twilio: as for `check`.
    Returns: the plan and its warnings.
    Raises:  BadDialplan with all errors and warnings, when there is at least one error.
    """
    problems = Problems(file)
    plan = parse(source, problems)
    if plan is None:
        raise BadDialplan(tuple(problems.found))
    if problems.found:
        whole = _certain(plan, prompts)
    else:
        whole = check(plan, prompts=prompts, broadcast=broadcast, by_twilio=by_twilio)
    found = tuple(sorted((*problems.found, *whole), key=lambda problem: problem.line))
    if any(problem.severity == "error" for problem in found):
        raise BadDialplan(found)
    return plan, found


def check(plan: Plan, *, prompts: PromptNames, broadcast: bool, by_twilio: bool = False) -> list[PlanProblem]:
    """Errors and warnings of a plan that `loader.load` gave, by line.

    prompts:   gives the names of the recorded prompts that there are in a language.
    broadcast: whether the plan is to call people by itself, who must then be able to opt out by a key.
    by_twilio: whether its calls may go over Twilio.
    """
    found = [
        *_certain(plan, prompts),
        *_unreachable(plan),
        *_unused_variables(plan),
        *_told_too_soon(plan),
        *_nothing_to_replay(plan),
        *_without_outcome(plan),
        *(_broadcast(plan) if broadcast else ()),
        *(_left_behind(plan) if by_twilio else ()),
    ]
    return sorted(found, key=lambda problem: problem.line)


def _certain(plan: Plan, prompts: PromptNames) -> list[PlanProblem]:
    """What is wrong whatever the nodes that could not be read, or do not exist, would have been."""
    return [*_missing_prompts(plan, prompts), *_deaf_to_silence(plan), *_circles(plan), *_hidden_keys(plan)]


def _problem(
    plan: Plan, name: str | None, text: str, *, line: int | None = None, severity: Literal["error", "warning"] = "error"
) -> PlanProblem:
    at = line if line is not None else plan.nodes[name].line if name else plan.line
    return PlanProblem(plan.file, at, name, text, severity)


def _missing_prompts(plan: Plan, prompts: PromptNames) -> Iterable[PlanProblem]:
    for name, node in plan.nodes.items():
        played = (part for part in spoken_parts(node) if isinstance(part, Play) and not part.text)
        for part in dict.fromkeys(played):
            if part.name not in prompts(part.language):
                told = f"plays the prompt {part.name!r}, which does not exist in {part.language}"
                yield _problem(plan, name, f"{told}: record it, or give a 'text' to speak instead")


def _reachable(plan: Plan, edges: Callable[[Node], tuple[str, ...]] = targets) -> set[str]:
    """The nodes that a call can come to, from the start."""
    seen: set[str] = set()
    ahead = [plan.start]
    while ahead:
        name = ahead.pop()
        if name != HANGUP and name not in seen:
            seen.add(name)
            ahead.extend(edges(plan.nodes[name]))
    return seen


def _unreachable(plan: Plan) -> Iterable[PlanProblem]:
    reached = _reachable(plan) | {plan.machine.node}
    for name in plan.nodes:
        if name not in reached:
            yield _problem(plan, name, "is never reached")


def _deaf_to_silence(plan: Plan) -> Iterable[PlanProblem]:
    for name, node in plan.nodes.items():
        if isinstance(node, AskNode) and node.otherwise is None:
            yield _problem(plan, name, "has no exit on silence: add 'otherwise'")


def _circles(plan: Plan) -> Iterable[PlanProblem]:
    """Circles in which a call stays for ever while nobody presses a key."""
    for circle in _find_circles(plan, quiet_targets):
        way = " > ".join((*circle, circle[0]))
        if any(isinstance(plan.nodes[name], AskNode) for name in circle):
            yield _problem(plan, circle[0], f"has no exit on silence: without a key the call goes round {way}")
        else:
            yield _problem(plan, circle[0], f"loops without waiting for a key: {way}")


def _find_circles(plan: Plan, edges: Callable[[Node], tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    """One circle for each edge that closes one; depth first, without recursion."""
    finished: set[str] = set()
    for root in plan.nodes:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            name, depth = stack.pop()
            finished.update(path[depth:])
            del path[depth:]
            if name not in plan.nodes or name in finished:
                continue
            if name in path:
                yield tuple(path[path.index(name) :])
                continue
            path.append(name)
            stack.extend((target, len(path)) for target in dict.fromkeys(edges(plan.nodes[name])))
        finished.update(path)


def _hidden_keys(plan: Plan) -> Iterable[PlanProblem]:
    """Keys that somebody presses for one thing and that are taken for another."""
    for name, node in plan.nodes.items():
        ends = node.finish_key if isinstance(node, CollectNode | RecordNode) else None
        following = _question_after(plan, node.next) if isinstance(node, CollectNode | RecordNode) else None
        if isinstance(following, MenuNode) and ends in following.choices:
            told = f"ends with {ends!r}, which is also a choice of the question that follows and hides it"
            yield _problem(plan, name, f"{told}: give one of them another key")
        asked = _question_after(plan, node.otherwise) if isinstance(node, MenuNode) and node.otherwise else None
        digits = [key for key in node.choices if key.isdigit()] if isinstance(node, MenuNode) else []
        if isinstance(asked, CollectNode) and digits:
            told = (
                f"hides digits of the collect that follows on silence: who types too soon chooses {' or '.join(digits)}"
            )
            yield _problem(plan, name, told, severity="warning")


def _question_after(plan: Plan, name: str) -> AskNode | None:
    meant = listening(plan, name) if name in plan.nodes else None
    return meant.question if meant else None


def _told_too_soon(plan: Plan) -> Iterable[PlanProblem]:
    """Private values said to somebody who has not given the PIN, or to a machine."""

    def without_pin(node: Node) -> tuple[str, ...]:
        is_pin = isinstance(node, CollectNode) and node.equals
        return quiet_targets(node) if is_pin else targets(node)

    private = _private(plan)
    open_to_all = _reachable(plan, without_pin) | {plan.machine.node}
    for name, node in plan.nodes.items():
        said = [used for used in dict.fromkeys(spoken_variables(node)) if used in private]
        if name in open_to_all and said:
            yield _problem(plan, name, f"tells the private {said[0]!r} before a PIN was right: see 'equals'")


def _private(plan: Plan) -> set[str]:
    """Names of private variables, and of those that a `set` gives their value to."""
    found = {name for name, variable in plan.variables.items() if variable.is_private}
    before = -1
    while before < len(found):
        before = len(found)
        for node in plan.nodes.values():
            given = node.values.items() if isinstance(node, SetNode) else ()
            found |= {name for name, text in given if found.intersection(template.names(text))}
    return found


def _nothing_to_replay(plan: Plan) -> Iterable[PlanProblem]:
    """What an inbound plan wants to know of people who were never written to: without it nobody would answer them."""
    for name in INBOUND_VARIABLES if plan.inbound else ():
        variable = plan.variables.get(name)
        if variable is not None and variable.default is None:
            told = f"{name!r} needs a default: who was never written to has none, and would not be answered"
            yield _problem(plan, None, told, line=variable.line)


def _without_outcome(plan: Plan) -> Iterable[PlanProblem]:
    """Ways to the end of a call on which it has been given no outcome."""
    if not any(isinstance(node, OutcomeNode | OptOutNode | TransferNode) for node in plan.nodes.values()):
        yield _problem(plan, None, "sets no outcome: its calls cannot be told apart", severity="warning")
        return
    came_from: dict[str, str] = {plan.start: ""}
    ahead = deque([plan.start])
    while ahead:
        name = ahead.popleft()
        node = plan.nodes[name]
        if isinstance(node, OutcomeNode | OptOutNode):
            continue
        if HANGUP in targets(node):
            way = [name]
            while came_from[way[-1]]:
                way.append(came_from[way[-1]])
            told = f"a call can end here without an outcome: {' > '.join(reversed(way))}"
            yield _problem(plan, name, told, severity="warning")
        for target in targets(node):
            if target != HANGUP and target not in came_from:
                came_from[target] = name
                ahead.append(target)


def _unused_variables(plan: Plan) -> Iterable[PlanProblem]:
    used = {name for node in plan.nodes.values() for name in used_variables(node)}
    for name, variable in plan.variables.items():
        is_known_to_us = (plan.inbound and name in INBOUND_VARIABLES) or (plan.is_multilingual and name == LANGUAGE)
        if name not in used and not is_known_to_us:
            yield _problem(plan, None, f"the variable {name!r} is never used", line=variable.line, severity="warning")


def _broadcast(plan: Plan) -> Iterable[PlanProblem]:
    if plan.inbound:
        yield _problem(plan, None, "answers inbound calls: it cannot be a broadcast's dialplan")
    reached = _reachable(plan)
    menus = [node for name, node in plan.nodes.items() if name in reached and isinstance(node, MenuNode)]
    if not any(opts_out(plan, target) for menu in menus for target in menu.choices.values()):
        yield _problem(plan, None, "has no opt-out key: a broadcast needs a menu with a key that leads to 'opt_out'")


def _left_behind(plan: Plan) -> Iterable[PlanProblem]:
    """Headers that Twilio does not carry: its <Number> takes none, its <Sip> does."""
    for name, node in plan.nodes.items():
        if isinstance(node, TransferNode) and node.headers and not node.to.startswith(SIP):
            told = "has headers, which Twilio does not carry to a number: a trunk does, and Twilio to a SIP address"
            yield _problem(plan, name, told, severity="warning")
