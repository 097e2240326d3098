"""Whether every person hears at once who calls, and then by which key they are never called again. Pure.

47 CFR 64.1200(b)(1) and (3): a prerecorded call says who calls at its beginning; where it sells something (and in the
exempted calls to homes) instructions for an automated opt-out follow within two seconds of that, and the key works.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from gateway.errors.voice import PlanProblem
from gateway.voice.dialplan import (
    HANGUP,
    AskNode,
    MenuNode,
    Node,
    OptOutNode,
    Pause,
    Plan,
    SetNode,
    SpeakNode,
)
from gateway.voice.values import LANGUAGE
from gateway.voice.ways import listening, opts_out, parts_of, targets

WITHIN_S: Final = 2.0
DEMANDING: Final = frozenset({"telemarketing", "healthcare"})
"""The categories of jobs that may not do without; for the others, what is found is a warning."""
_LOOK_S: Final = 10.0  # an announcement that comes later than this counts as none
_UNSAID: Final = "ends before an opt-out key was announced"


@dataclass(frozen=True, slots=True)
class Heard:
    """How long a node's prompt plays, and the silence at its beginning and end, in seconds."""

    seconds: float = 0.0
    lead_s: float = 0.0
    tail_s: float = 0.0


NOTHING: Final = Heard()


@dataclass(frozen=True, slots=True)
class _Step:
    """A node that a call can come to. `gap_s` runs from the end of the identification; None before it."""

    node: str
    language: str
    gap_s: float | None = None


def problems(plan: Plan, heard: Mapping[tuple[str, str], Heard], category: str) -> tuple[PlanProblem, ...]:
    """What the law misses on any way through the beginning of a plan that calls people, by line.

    heard:    what was measured, by node and language of the call; {} before anything is rendered: then only what
              is missing altogether is found.
    category: of the job: what is found is an error or a warning.
    """
    if plan.inbound:
        return ()  # who rings us knows whom
    severity: Literal["error", "warning"] = "error" if category in DEMANDING else "warning"
    found = {
        (name, text): PlanProblem(plan.file, plan.nodes[name].line, name, text, severity)
        for name, text in (*_deaf(plan), *_late(plan, lambda name, language: heard.get((name, language), NOTHING)))
    }
    return tuple(sorted(found.values(), key=lambda problem: problem.line))


def _deaf(plan: Plan) -> Iterator[tuple[str, str]]:
    for name, node in plan.nodes.items():
        if isinstance(node, SpeakNode) and node.announces == "opt_out":
            meant = listening(plan, name)
            if meant is None or not _offers_opt_out(plan, meant.question):
                yield name, "announces a key that does nothing yet: a menu with that key must follow, only say between"


def _late(plan: Plan, heard: Callable[[str, str], Heard]) -> Iterator[tuple[str, str]]:
    """Follow every way from the start until the key is announced, each node again only after a longer wait."""
    longest: dict[tuple[str, str, bool], float] = {}
    languages = plan.languages if LANGUAGE in plan.variables else (plan.language,)
    ahead = [_Step(plan.start, language) for language in languages]
    while ahead:
        step = ahead.pop()
        seen = (step.node, step.language, step.gap_s is None)
        if (step.gap_s or 0.0) <= longest.get(seen, -1.0):
            continue
        longest[seen] = step.gap_s or 0.0
        told, following = _look(plan, step, heard(step.node, step.language))
        if told:
            yield step.node, f"{told} (in {step.language})" if plan.is_multilingual else told
        ahead.extend(following)


def _look(plan: Plan, step: _Step, heard: Heard) -> tuple[str, list[_Step]]:
    """What is wrong at one step, and where it goes on; nowhere once the key was announced or something is wrong."""
    node = plan.nodes[step.node]
    is_spoken = any(not isinstance(part, Pause) for part in parts_of(node))
    if step.gap_s is None:
        if isinstance(node, SpeakNode) and node.announces == "identity":
            return _onward(plan, replace(step, gap_s=heard.tail_s))
        told = "speaks before a node with 'announces: identity' has said who calls" if is_spoken else ""
        return (told, []) if told else _onward(plan, step, unsaid="ends before anybody said who calls")
    if _announces_opt_out(plan, node):
        begins_s = step.gap_s + heard.lead_s
        told = f"announces the opt-out key {begins_s:.1f} s after the caller's name; at most {WITHIN_S:g} s are allowed"
        return (told, []) if begins_s > WITHIN_S else ("", [])
    gap_s = step.gap_s + heard.seconds + (node.timeout if isinstance(node, AskNode) else 0.0)
    if gap_s > _LOOK_S:
        return f"no opt-out key has been announced {gap_s:.1f} s after the caller's name", []
    return _onward(plan, replace(step, gap_s=gap_s))


def _onward(plan: Plan, step: _Step, unsaid: str = _UNSAID) -> tuple[str, list[_Step]]:
    """Where a step goes on; `unsaid` is told of it where the call may end there."""
    node = plan.nodes[step.node]
    if isinstance(node, OptOutNode):
        return "", []
    language = node.values.get(LANGUAGE, step.language) if isinstance(node, SetNode) else step.language
    following = [replace(step, node=name, language=language) for name in dict.fromkeys(targets(node)) if name != HANGUP]
    return (unsaid if HANGUP in targets(node) else ""), following


def _announces_opt_out(plan: Plan, node: Node) -> bool:
    if isinstance(node, SpeakNode):
        return node.announces == "opt_out"
    return _offers_opt_out(plan, node)


def _offers_opt_out(plan: Plan, node: Node) -> bool:
    return isinstance(node, MenuNode) and any(opts_out(plan, target) for target in node.choices.values())
