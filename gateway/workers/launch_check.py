"""Every prompt of a plan, rendered and measured: what would be wrong with its calls, known before the first."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.carriers.voice_base import rendered
from gateway.errors import GatewayError
from gateway.errors.speech import SpeechUnavailable
from gateway.errors.voice import PlanProblem
from gateway.media.level import SILENCE_DBOV
from gateway.media.soundness import Sound, faults, measured
from gateway.speech.prompts import TenantPrompts
from gateway.voice import disclosure, engine, exemptions, filling
from gateway.voice.cases import given
from gateway.voice.dialplan import Part, Pause, Plan
from gateway.voice.disclosure import Heard
from gateway.voice.filling import Prompt


@dataclass(frozen=True, slots=True)
class Measured:
    """One node's prompt in one language: its seconds, its loudest part's level in dBov, and what is wrong with it.

    of_values: what is wrong with the first person's values in it; with samples it is as it must be.
    """

    node: str
    language: str
    seconds: float
    level_dbov: float
    faults: tuple[str, ...]
    heard: Heard
    of_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What was rendered, and what is wrong with it or with how the calls begin."""

    prompts: tuple[Measured, ...]
    problems: tuple[PlanProblem, ...]

    @property
    def is_refused(self) -> bool:
        """Whether nobody may be called so."""
        return any(problem.severity == "error" for problem in self.problems)


async def launch_check(
    plan: Plan,
    variables: Mapping[str, str],
    prompts: TenantPrompts,
    *,
    longest_s: float,
    category: str,
    common: Mapping[str, str] | None = None,
) -> Checked:
    """Render everything that a plan's calls can play, in every language, and judge it.

    variables: one person's; where one is empty, or only known during the call, a sample stands for it.
    longest_s: what one node may play.
    common:    what all calls have. A prompt that is as it must be with these and samples speaks for the plan: then the
               person's own values are at fault, which is a warning.
    category:  of the job: see `disclosure` and `exemptions`.
    Raises:    BadVariables; SpeechUnavailable, which says nothing about the plan.
    """
    found = await asyncio.gather(
        *(_measured(prompts, prompt, longest_s) for prompt in filling.prompts(engine.start(plan, variables)))
    )
    if any(each.faults for each in found):
        sampled = filling.prompts(engine.start(plan, {**given(plan), **(common or {})}))
        pairs = zip(found, sampled, strict=True)
        found = await asyncio.gather(*(_blamed(prompts, each, sample, longest_s) for each, sample in pairs))
    timing = {(each.node, each.language): each.heard for each in found}
    problems = (
        *_unsound(plan, found),
        *disclosure.problems(plan, timing, category),
        *exemptions.problems(plan, timing, category),
    )
    return Checked(tuple(found), tuple(sorted(problems, key=lambda problem: problem.line)))


async def _measured(prompts: TenantPrompts, prompt: Prompt, longest_s: float) -> Measured:
    wrong: list[str] = []
    sounds: list[Sound] = []
    for part in prompt.parts:
        try:
            sound = await _sound(prompts, part)
        except SpeechUnavailable:
            raise
        except GatewayError as error:
            wrong.append(f"cannot be rendered: {error}")
            continue
        sounds.append(sound)
        wrong += () if isinstance(part, Pause) else faults(sound)
    seconds = sum(sound.seconds for sound in sounds)
    if seconds > longest_s:
        wrong.append(f"plays for {seconds:.0f} s; at most {longest_s:g} s are allowed")
    level = max((sound.level_dbov for sound in sounds), default=SILENCE_DBOV)
    return Measured(prompt.node, prompt.language, seconds, level, tuple(wrong), _heard(sounds, seconds))


async def _blamed(prompts: TenantPrompts, found: Measured, sample: Prompt, longest_s: float) -> Measured:
    """Tell apart what is wrong with a prompt of the plan and what with one person's values in it."""
    if not found.faults:
        return found
    sampled = await _measured(prompts, sample, longest_s)
    return found if sampled.faults else replace(sampled, of_values=found.faults)


async def _sound(prompts: TenantPrompts, part: Part) -> Sound:
    if isinstance(part, Pause):
        return Sound(part.seconds, SILENCE_DBOV, 0, part.seconds, part.seconds)
    audio = await rendered(prompts, part)
    return await asyncio.to_thread(measured, audio.pcm)


def _heard(sounds: list[Sound], seconds: float) -> Heard:
    """The silence before the first sound of a prompt and after its last, pauses of the plan included."""
    return Heard(
        seconds,
        _silence((each.seconds, each.lead_s) for each in sounds),
        _silence((each.seconds, each.tail_s) for each in reversed(sounds)),
    )


def _silence(sounds: Iterable[tuple[float, float]]) -> float:
    silent_s = 0.0
    for seconds, silence_s in sounds:
        silent_s += silence_s
        if silence_s < seconds:
            break
    return silent_s


def _unsound(plan: Plan, found: Iterable[Measured]) -> Iterable[PlanProblem]:
    for each in found:
        told = f" (in {each.language})" if plan.is_multilingual else ""
        for fault in each.faults:
            yield PlanProblem(plan.file, plan.nodes[each.node].line, each.node, fault + told)
        for fault in each.of_values:
            text = f"{fault}{told}, with the first person's values; the plan's own words are good"
            yield PlanProblem(plan.file, plan.nodes[each.node].line, each.node, text, "warning")
