"""Broadcasts before their first call: prompts rendered and judged by real engines, and nobody called when they fail."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.clock import now_ms
from gateway.media import wav
from gateway.model.job import Job
from gateway.speech.prompts import Prompts
from gateway.speech.tts import espeak
from gateway.store import events, jobs
from tests.calls.conftest import SENDER

PLAN = """
name: offer
language: en-US
languages: [en-US, es-US]
start: greet
variables: {language: {default: en-US}, name: {default: ""}, amount: {type: money, default: ""}}
nodes:
  greet: {say: {en-US: "This is City Water.", es-US: "Le llama City Water."}, announces: identity, next: removal}
  removal: {say: {en-US: "To be removed, press 9.", es-US: "Para no recibir llamadas, oprima nueve."}, announces: opt_out, next: ask}
  ask:
    menu:
      prompt: {say: {en-US: "Hello {{ name }}. You owe {{ amount }}. Press 1.", es-US: "Hola {{ name }}. Oprima uno."}}
      choices: {"1": yes, "9": remove}
      attempts: 1
      timeout: 1s
      otherwise: bye
  yes: {outcome: confirmed, next: bye}
  bye: {play: goodbye, text: {en-US: Goodbye., es-US: Adiós.}, then: hangup}
  remove: {opt_out: tenant, then: hangup}
machine: hangup
"""


@pytest.fixture
async def speaking(calling: Any, tmp_path: Path, speech_cache: Path) -> AsyncIterator[Any]:
    """A gateway whose recordings a test may replace; espeak is quick."""
    calling.prompts = Prompts(tmp_path / "prompts", speech_cache, engines=[espeak()])
    yield calling
    await calling.stop()
    await calling.prompts.close()


async def job_of(
    calling: Any, source: str = PLAN, *endings: str, category: str = "informational", name: str = "Ana", **spec: Any
) -> tuple[str, list[str]]:
    await calling.publish(source, "offer")
    job = Job("job_1", "acme", "live", "voice", SENDER, spec, category=category, created_ms=now_ms())
    await calling.database.write(lambda tx: jobs.accept(tx, job))
    return job.id, await calling.queue(
        *(endings or ("0400",)), job_id=job.id, dialplan="offer", variables={"name": name}
    )


async def until_job(calling: Any, status: str) -> Job:
    async def look(tx: Any) -> Job | None:
        job = await jobs.get(tx, "acme", "live", "job_1")
        return job if job is not None and job.status == status else None

    found: Job = await calling.until(look)
    return found


def told(job: Job) -> list[tuple[object, object, object]]:
    return [(each["node"], each["severity"], each["text"]) for each in job.launch]


def recording(calling: Any, samples: Any) -> None:
    """Put a goodbye in Spanish into the folder by hand, as anybody may."""
    path = calling.prompts.folder / "es-US" / "goodbye.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav.write(np.asarray(samples, np.int16).tobytes()))


def tone(seconds: float = 1.0) -> Any:
    return 3000 * np.sin(2 * np.pi * 440 * np.arange(int(8000 * seconds)) / 8000)


async def test_a_job_whose_prompts_are_good_is_dialled_in_any_category(speaking: Any) -> None:
    _, (call_id,) = await job_of(speaking, category="telemarketing")
    await speaking.start()

    await speaking.until_status(call_id, "busy")

    assert told(await until_job(speaking, "running")) == []


async def test_a_recording_in_the_other_language_that_is_too_soft_keeps_everybody_from_being_called(
    speaking: Any,
) -> None:
    clicks = tone() / 30
    clicks[4000] = 32767  # one click, and nothing may be raised above it
    recording(speaking, clicks)
    _, ids = await job_of(speaking, PLAN, "0400", "0400")
    await speaking.start()

    job = await until_job(speaking, "paused")

    ((node, severity, text),) = told(job)
    assert (job.reason, node, severity) == ("launch", "bye", "error")
    assert str(text).startswith("is too soft: -")
    assert str(text).endswith("(in es-US)")
    rows = [await speaking.call(each) for each in ids]
    assert [(call.status, call.reason) for call in rows] == [("held", "paused")] * 2
    assert speaking.heard() == []

    recording(speaking, tone())
    await speaking.database.write(lambda tx: jobs.change(tx, job, "running", now_ms()))
    speaking.signals.wake("calls")
    await speaking.until_status(ids[1], "busy")
    assert (await until_job(speaking, "running")).launch == []


async def test_a_prompt_that_plays_too_long_or_holds_no_word_is_named_with_its_language(speaking: Any) -> None:
    speaking.longest_prompt_s = 2
    await job_of(speaking, PLAN.replace("Adiós.", "…").replace("Goodbye.", "One word and another. " * 12))
    await speaking.start()

    await speaking.until_gate("rendering")
    found = told(await until_job(speaking, "paused"))

    assert ("bye", "error", "cannot be rendered: the text holds no word (in es-US)") in found
    (long,) = [text for node, _, text in found if node == "bye" and "plays for" in str(text) and "en-US" in str(text)]
    assert "s; at most 2 s are allowed" in str(long)


ENDLESS = "Anabella Maria Carolina " * 12


@pytest.mark.parametrize(
    ("name", "reason", "why"), [(ENDLESS, "prompt_too_long", "plays for "), ("…", "unspeakable_text", "no word")]
)
async def test_what_one_person_is_called_keeps_only_that_person_from_being_called(
    speaking: Any, name: str, reason: str, why: str
) -> None:
    speaking.longest_prompt_s = 10
    plan = (
        PLAN.replace("Hello {{ name }}. You owe {{ amount }}. Press 1.", "Press 1.")
        .replace("Hola {{ name }}. ", "")
        .replace("next: ask}", "next: whom}\n  whom: {say: {en-US: '{{ name }}', es-US: '{{ name }}'}, next: ask}")
    )
    job_id, (wrong,) = await job_of(speaking, plan, name=name)
    (good,) = await speaking.queue("0400", job_id=job_id, dialplan="offer", variables={"name": "Ana"})
    await speaking.start()

    await speaking.until_status(good, "busy")
    await speaking.until_status(wrong, "failed")

    assert (await speaking.call(wrong)).reason == reason
    found = told(await until_job(speaking, "running"))
    assert [(node, severity) for node, severity, _ in found] == [("whom", "warning")] * 2
    assert why in str(found[0][2])
    assert str(found[0][2]).endswith("(in en-US), with the first person's values; the plan's own words are good")
    assert len(speaking.heard()) == 1


async def test_values_that_all_calls_have_are_the_jobs_own_fault(speaking: Any) -> None:
    speaking.longest_prompt_s = 10
    await job_of(speaking, name=ENDLESS, variables={"name": ENDLESS})
    await speaking.start()

    assert {node for node, _, _ in told(await until_job(speaking, "paused"))} == {"ask"}
    assert speaking.heard() == []


LATE = PLAN.replace(
    "next: removal}",
    'next: chat}\n  chat: {say: {en-US: "We have news about the water in your street and about your meter.", es-US: Buenas.}, next: removal}',
)


async def test_a_key_announced_late_refuses_telemarketing_with_the_seconds_and_only_warns_otherwise(
    speaking: Any,
) -> None:
    await job_of(speaking, LATE, category="telemarketing")
    await speaking.start()

    job = await until_job(speaking, "paused")

    ((node, severity, text),) = told(job)
    assert (node, severity) == ("removal", "error")
    seconds = float(str(text).split()[4])
    assert 2.0 < seconds < 6.0
    assert str(text).endswith("s after the caller's name; at most 2 s are allowed (in en-US)")
    assert speaking.heard() == []


async def test_an_informational_job_is_only_warned(speaking: Any) -> None:
    _, (call_id,) = await job_of(speaking, LATE)
    await speaking.start()

    await speaking.until_status(call_id, "busy")

    assert [(node, severity) for node, severity, _ in told(await until_job(speaking, "running"))] == [
        ("removal", "warning")
    ]


async def test_after_a_restart_a_job_is_looked_at_again_before_anybody_else_is_called(speaking: Any) -> None:
    job_id, (first,) = await job_of(speaking)
    await speaking.start()
    await speaking.until_status(first, "busy")
    await speaking.stop()
    recording(speaking, tone() / 1e6)

    await speaking.queue("0400", job_id=job_id, dialplan="offer")
    await speaking.start()

    ((node, severity, text),) = told(await until_job(speaking, "paused"))
    assert (node, severity) == ("bye", "error")
    assert "nothing can be heard in it" in str(text)
    assert len(speaking.heard()) == 1


async def test_a_call_of_its_own_does_not_wait_for_the_look_at_a_job(speaking: Any) -> None:
    long = " ".join(f"Sentence {number} of a long goodbye." for number in range(90))
    _, (of_job,) = await job_of(speaking, PLAN.replace("Goodbye.", long))
    speaking.longest_prompt_s = 600
    (alone,) = await speaking.queue("0400", variables={"name": "Zoe"})
    await speaking.start()

    await speaking.until_status(of_job, "busy")

    seen = await speaking.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99))
    assert [each["id"] for each in seen if each["type"] == "call.dialing"] == [alone, of_job]


async def test_nobody_is_called_while_the_other_language_is_still_being_rendered(speaking: Any) -> None:
    long = [" ".join(f"Frase {number} de la parte {part}." for number in range(70)) for part in range(2)]
    plan = PLAN.replace("Adiós.", long[0]).replace("Oprima uno.", long[1])
    speaking.longest_prompt_s = 60
    _, (call_id,) = await job_of(speaking, plan)
    await speaking.start()

    await until_job(speaking, "paused")

    assert (await speaking.call(call_id)).status == "held"
    assert speaking.heard() == []
