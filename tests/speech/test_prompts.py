"""What calls play is made once, at one level, and never blocks the gateway."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from gateway.errors.speech import (
    BadPrompt,
    SpeechUnavailable,
    UnknownAudio,
    UnknownPrompt,
    UnknownVoice,
    UnspeakableText,
)
from gateway.media.level import active_level
from gateway.speech.prompts import LONGEST_TEXT, Prompts
from gateway.speech.tts import WorkerEngine, espeak
from gateway.voice.dialplan import Value
from tests.speech.conftest import Record

REMINDER = "Hello Ann. This is City Water. You owe $30.50, due on 11/21/2026. Call 1-800-555-0199."


class Counted(WorkerEngine):
    """espeak, counting what it is really asked."""

    def __init__(self) -> None:
        real = espeak()
        super().__init__(real.name, real.version, real.speaks)
        self.asked: list[str] = []
        self.started = asyncio.Event()

    async def render(self, sentence: str, *, language: str, voice: str, speed: float) -> bytes:
        self.asked.append(sentence)
        self.started.set()
        return await super().render(sentence, language=language, voice=voice, speed=speed)


@pytest.fixture
async def counted(espeak_engine: WorkerEngine) -> AsyncIterator[Counted]:
    engine = Counted()
    yield engine
    await engine.close()


@pytest.fixture
def quick(counted: Counted, tmp_path: Path) -> Prompts:
    """Prompts with the engine that starts quickest."""
    return Prompts(tmp_path / "prompts", tmp_path / "cache", engines=[counted])


async def test_a_text_is_spoken_at_the_level_of_all_prompts(prompts: Prompts) -> None:
    audio = await prompts.say(REMINDER, "en-US")

    assert 8 < audio.seconds < 20
    assert active_level(audio.pcm) == pytest.approx(-20, abs=0.5)
    assert audio.path.read_bytes() == audio.wav()
    assert await prompts.stored(audio.id) == audio


async def test_a_text_ends_with_a_breath_before_the_next_prompt_or_the_end_of_the_call(prompts: Prompts) -> None:
    pcm = (await prompts.say("Goodbye.", "en-US")).pcm
    spoken = len(pcm.rstrip(b"\0"))

    assert 0.25 <= (len(pcm) - spoken) / 16_000 < 0.3


@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the extra [espeak] is not installed")
async def test_every_engine_and_recording_is_equally_loud(prompts: Prompts, record: Record) -> None:
    await prompts.of("city-water").put("welcome", "en-US", record(peak=0.01))
    heard = [
        await prompts.say(REMINDER, "en-US", voice="hibari"),
        await prompts.say(REMINDER, "en-US", voice="espeak"),
        await prompts.say("Usted debe $30.50.", "es-US"),
        await prompts.of("city-water").recorded("welcome", "en-US"),
    ]
    levels = [active_level(audio.pcm) for audio in heard]

    assert max(levels) - min(levels) < 1.5
    assert len({audio.id for audio in heard}) == 4


async def test_numbers_are_read_before_the_engine_sees_them(quick: Prompts, counted: Counted) -> None:
    await quick.say("Call 1-800-555-0199. Thanks.", "en-US")

    assert counted.asked == ["Call one, eight zero zero, five five five, zero one nine nine.", "Thanks."]


async def test_what_many_ask_for_at_once_is_made_once(quick: Prompts, counted: Counted) -> None:
    heard = await asyncio.gather(*(quick.say("Hello there.", "en-US") for _ in range(50)))

    assert len(counted.asked) == 1
    assert len({id(audio) for audio in heard}) == 1


async def test_one_who_gives_up_does_not_take_it_from_the_others(quick: Prompts, counted: Counted) -> None:
    first, second = (asyncio.create_task(quick.say("Hello there.", "en-US")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).seconds > 0.3
    assert first.cancelled()
    assert len(counted.asked) == 1


async def test_what_was_said_once_is_not_made_again_after_a_restart(
    quick: Prompts, counted: Counted, tmp_path: Path
) -> None:
    audio = await quick.say("Hello there.", "en-US")
    restarted = Prompts(tmp_path / "prompts", tmp_path / "cache", engines=[counted])

    assert await restarted.say("Hello   there.", "en-US") == audio
    assert len(counted.asked) == 1


async def test_sentences_said_to_everyone_are_made_once(quick: Prompts, counted: Counted) -> None:
    for name in ("Ann", "Bob"):
        await quick.say(f"Hello {name}. Your water is off today.", "en-US")

    assert counted.asked == ["Hello Ann.", "Your water is off today.", "Hello Bob."]


async def test_language_and_voice_make_another_audio(quick: Prompts) -> None:
    ids = {
        (await quick.say("Radio", "en-US")).id,
        (await quick.say("Radio", "fr-CA")).id,
        (await quick.say("Radio", "en-US", voice="espeak:en-us+f3")).id,
    }

    assert len(ids) == 3


async def test_when_the_first_engine_fails_the_next_speaks(counted: Counted, tmp_path: Path) -> None:
    broken = WorkerEngine("broken", "0", lambda language: language.startswith("en"))
    prompts = Prompts(tmp_path / "prompts", tmp_path / "cache", engines=[broken, counted])

    assert (await prompts.say("Hello.", "en-US")).seconds > 0.3
    with pytest.raises(SpeechUnavailable, match="broken is not available"):
        await prompts.say("Hello.", "en-US", voice="broken")


class Deadly(Counted):
    """One whose engine fails at whatever it is asked to say, and only at that: pyttsx3 asserts that there is text."""

    async def render(self, sentence: str, *, language: str, voice: str, speed: float) -> bytes:
        return await super().render("", language=language, voice=voice, speed=speed)


async def test_what_one_engine_fails_at_each_time_is_said_by_another_or_refused(
    counted: Counted, tmp_path: Path
) -> None:
    deadly = Deadly()
    both, alone = (
        Prompts(tmp_path / "prompts", tmp_path / "cache", engines=engines) for engines in ([deadly, counted], [deadly])
    )
    try:
        with pytest.raises(SpeechUnavailable):
            await alone.say("Hello.", "en-US")
        with pytest.raises(UnspeakableText):
            await alone.say("Hello.", "en-US")
        assert (await both.say("Hello.", "en-US")).seconds > 0.3
    finally:
        await deadly.close()


@pytest.mark.parametrize("text", ["", "  \n", "... !?", "¿?", "word " * (LONGEST_TEXT // 5 + 1)])
async def test_a_text_that_cannot_be_spoken_is_refused(prompts: Prompts, text: str) -> None:
    with pytest.raises(UnspeakableText):
        await prompts.say(text, "en-US")


@pytest.mark.parametrize(("language", "voice"), [("english", None), ("en-US", "nobody"), ("es", "hibari"), ("", None)])
async def test_a_voice_that_is_not_there_is_refused(prompts: Prompts, language: str, voice: str | None) -> None:
    with pytest.raises(UnknownVoice):
        await prompts.say("Hello.", language, voice=voice)


async def test_a_recording_put_anew_is_what_is_played(prompts: Prompts, record: Record) -> None:
    await prompts.of("city-water").put("welcome", "en-US", record(seconds=1.0))
    first = await prompts.of("city-water").recorded("welcome", "en-US")
    await prompts.of("city-water").put("welcome", "en-US", record(seconds=2.0))
    second = await prompts.of("city-water").recorded("welcome", "en-US")

    assert (round(first.seconds), round(second.seconds)) == (1, 2)
    assert prompts.of("city-water").names("en-US") == {"welcome"}
    assert [info.seconds for info in await prompts.of("city-water").listing()] == [second.seconds]


async def test_a_bad_recording_leaves_the_old_one_playing(prompts: Prompts, record: Record) -> None:
    await prompts.of("city-water").put("welcome", "en-US", record())
    before = await prompts.of("city-water").recorded("welcome", "en-US")
    with pytest.raises(BadPrompt):
        await prompts.of("city-water").put("welcome", "en-US", b"no audio")

    assert await prompts.of("city-water").recorded("welcome", "en-US") == before


async def test_what_was_never_made_or_recorded_is_unknown(prompts: Prompts) -> None:
    with pytest.raises(UnknownPrompt):
        await prompts.of("city-water").recorded("welcome", "en-US")
    with pytest.raises(UnknownAudio):
        await prompts.stored("0" * 64)


async def test_pieces_are_joined_and_kept(prompts: Prompts, record: Record) -> None:
    await prompts.of("city-water").put("welcome", "en-US", record())
    welcome = await prompts.of("city-water").recorded("welcome", "en-US")
    both = await prompts.joined([welcome, 0.5, welcome])

    assert both.seconds == pytest.approx(2 * welcome.seconds + 0.5)
    assert await prompts.joined([welcome, 0.5, welcome]) == both
    assert (await prompts.joined([welcome, 1, welcome])).id != both.id


async def test_the_event_loop_goes_on_while_prompts_are_made(prompts: Prompts) -> None:
    """Ticks of 10 ms go on while hibari loads and renders; blocked for the second that takes, there would be few."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await prompts.say(REMINDER, "en-US")
    ticking.cancel()

    assert ticks > 20


async def test_closing_in_mid_making_ends_the_workers(quick: Prompts, counted: Counted) -> None:
    making = asyncio.create_task(quick.say("Hello there.", "en-US"))
    await counted.started.wait()
    await quick.close()

    with pytest.raises(asyncio.CancelledError):
        await making
    assert counted.pid is None


async def test_where_the_disk_takes_nothing_calls_still_play(quick: Prompts, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    audio = await quick.say("Hello there.", "en-US")

    assert not audio.path.exists()
    assert await quick.say("Hello there.", "en-US") == audio
    assert await quick.stored(audio.id) == audio


async def test_what_stands_between_the_values_is_made_once_for_all(quick: Prompts, counted: Counted) -> None:
    for name, amount in (("Ana", "30"), ("Bob", "12.50"), ("Ana", "12.50")):
        pieces = ["Hello ", Value("name", name), ", you owe ", Value("money", amount), " today."]
        audio = await quick.say(f"Hello {name}, you owe ${amount} today.", "en-US", pieces=pieces)
        assert active_level(audio.pcm) == pytest.approx(-20, abs=0.5)

    fixed, first = ["Hello,", "you owe,", "today."], ["Ana,", "thirty dollars,"]
    assert sorted(counted.asked) == sorted([*fixed, *first, "Bob,", "twelve dollars and fifty cents,"])


async def test_nothing_clicks_where_fragments_meet(quick: Prompts) -> None:
    pieces = ["Hello ", Value("name", "Ana"), " you owe ", Value("money", "30"), " today."]
    heard = np.frombuffer((await quick.say("Hello Ana you owe $30 today.", "en-US", pieces=pieces)).pcm, "<i2")
    whole = np.frombuffer((await quick.say("Hello Ana you owe $30 today.", "en-US")).pcm, "<i2")

    def steps(pcm: np.ndarray) -> float:
        return float(np.abs(np.diff(pcm.astype(np.int32))).max())

    assert steps(heard) < 1.5 * steps(whole)


async def test_each_tenant_has_recordings_of_its_own_before_those_that_all_share(
    prompts: Prompts, record: Record
) -> None:
    shared = prompts.folder / "en-US"
    shared.mkdir(parents=True)
    (shared / "welcome.wav").write_bytes(record(seconds=1.0))
    ours, theirs, odd = (prompts.of(name) for name in ("city-water", "clinic", "../../etc"))
    await ours.put("welcome", "en-US", record(seconds=2.0))
    await odd.put("bye", "en-US", record(seconds=1.0))

    heard = [round((await each.recorded("welcome", "en-US")).seconds) for each in (ours, theirs, odd)]

    assert heard == [2, 1, 1]
    assert [round(info.seconds) for info in await ours.listing()] == [2]
    assert (ours.names("en-US"), odd.names("en-US")) == ({"welcome"}, {"welcome", "bye"})
    with pytest.raises(UnknownPrompt):
        await theirs.recorded("bye", "en-US")
    assert {path.parent.parent.parent for path in prompts.folder.rglob("bye.wav")} == {prompts.folder / "tenants"}
