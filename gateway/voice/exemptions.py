"""What the law asks of a message on a voicemail, and of calls that it exempts from consent: length and number. Pure.

47 CFR 64.1200(b)(1) and (b)(3): a message that is left says who calls, and where it sells something (and in the
exempted calls) names a toll-free number at which one is taken off the list. 64.1200(a)(9): what hospitals, banks and
parcel services may say without consent takes a minute at most, and comes so often and no more (`campaign.retry`).
Whoever has consent makes such calls as informational ones.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.errors.voice import PlanProblem
from gateway.phone import TOLL_FREE_CODES
from gateway.voice import template
from gateway.voice.cases import given
from gateway.voice.dialplan import (
    Localised,
    Pause,
    Plan,
    Play,
    Say,
    SpeakNode,
)
from gateway.voice.disclosure import NOTHING, Heard
from gateway.voice.transcript import MACHINE, SILENCE, simulate
from gateway.voice.values import LANGUAGE
from gateway.voice.ways import parts_of

EXEMPT: Final = frozenset({"healthcare", "financial", "package"})
NUMBERED: Final = EXEMPT | {"telemarketing"}
LONGEST_S: Final = 60.0
_CODES: Final = "|".join(sorted(TOLL_FREE_CODES))
_NUMBER: Final = re.compile(rf"(?<!\d)(?:\+?1[ .-]?)?\(?(?:{_CODES})\)?[ .-]?\d{{3}}[ .-]?\d{{4}}(?!\d)")


def problems(plan: Plan, heard: Mapping[tuple[str, str], Heard], category: str) -> tuple[PlanProblem, ...]:
    """What is missing in what machines hear of a plan, and what takes too long, by line; errors, save for recordings.

    heard:    what was measured, by node and language of the call; {} before anything is rendered.
    category: of the job; nothing is asked of informational calls and emergencies here.
    """
    if plan.inbound or category not in NUMBERED:
        return ()
    found = {each: None for language in _languages(plan) for each in _in(plan, heard, category, language)}
    return tuple(sorted(found, key=lambda problem: problem.line))


def _languages(plan: Plan) -> tuple[str, ...]:
    return plan.languages if LANGUAGE in plan.variables else (plan.language,)


def _in(plan: Plan, heard: Mapping[tuple[str, str], Heard], category: str, language: str) -> Iterator[PlanProblem]:
    """What is wrong in calls that begin in this language."""
    told = f" (in {language})" if plan.is_multilingual else ""
    left = _heard_by_machines(plan, language)
    if left:
        yield from _unsaid(plan, left, language, told)
    if category in EXEMPT:
        silent = tuple(dict.fromkeys(_path(plan, language, SILENCE)))
        for who, path in (("a machine", left), ("a person who presses nothing", silent)):
            took_s = sum(heard.get((name, language), NOTHING).seconds for name in path)
            if took_s > LONGEST_S:
                why = f"{who} hears {took_s:.0f} s of message; in {category} calls at most {LONGEST_S:g} s are allowed"
                yield PlanProblem(plan.file, plan.nodes[path[0]].line, path[0], why + told)


def _heard_by_machines(plan: Plan, language: str) -> tuple[str, ...]:
    """The nodes that a voicemail hears, each once."""
    if plan.machine.action == "hangup":
        return ()
    return tuple(name for name in dict.fromkeys(_path(plan, language, MACHINE)) if parts_of(plan.nodes[name]))


def _path(plan: Plan, language: str, key: str) -> tuple[str, ...]:
    variables = given(plan) | ({LANGUAGE: language} if LANGUAGE in plan.variables else {})
    return simulate(plan, variables, [key]).path


def _unsaid(plan: Plan, left: tuple[str, ...], language: str, told: str) -> Iterator[PlanProblem]:
    """What a message that is left does not say: who calls, and a toll-free number."""
    node, line = left[0], plan.nodes[left[0]].line
    if not any(isinstance(each := plan.nodes[name], SpeakNode) and each.announces == "identity" for name in left):
        why = "leaves machines a message that does not say who calls: mark where it does by 'announces: identity'"
        yield PlanProblem(plan.file, line, node, why + told)
    named = [_names_number(plan, part, language) for name in left for part in parts_of(plan.nodes[name])]
    if True not in named:
        why = "leaves machines a message without a toll-free number to be taken off the list at"
        is_unknown = None in named
        why = f"{why}, unless the recording names one" if is_unknown else why
        yield PlanProblem(plan.file, line, node, why + told, "warning" if is_unknown else "error")


def _names_number(plan: Plan, part: Say | Play | Pause | Localised, language: str) -> bool | None:
    """Whether such a number stands in it, or a variable that holds a telephone number; None for a recording."""
    here = part.by_language[language] if isinstance(part, Localised) else part
    if isinstance(here, Pause):
        return False
    if isinstance(here, Play) and not here.text:
        return None
    return bool(_NUMBER.search(here.text)) or any(plan.type_of(name) == "phone" for name in template.names(here.text))
