"""Engines speak from processes of their own, which may die, hang or never have been there."""

import asyncio
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest

from gateway.errors.speech import SpeechUnavailable, UnknownVoice, UnspeakableText
from gateway.media.level import active_level
from gateway.speech.tts import Timeouts, WorkerEngine, espeak, hibari

HELLO = "Hello, this is City Water."


async def say(
    engine: WorkerEngine, text: str = HELLO, language: str = "en-US", voice: str = "", speed: float = 1.0
) -> bytes:
    return await engine.render(text, language=language, voice=voice, speed=speed)


def share_in_band(pcm: bytes) -> float:
    power = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(pcm) // 2, 1 / 8000)
    return float(power[(hertz > 300) & (hertz < 3400)].sum() / power.sum())


def alike(one: bytes, other: bytes) -> bool:
    """The same text; espeak's samples differ a little from run to run."""
    return abs(len(one) - len(other)) < 0.05 * len(one)


async def test_hibari_speaks_english_in_the_telephones_band() -> None:
    engine = hibari()
    try:
        pcm = await say(engine)
        again = await say(engine)
        slow = await say(engine, speed=0.7)
        nothing = await say(engine, "...")
    finally:
        await engine.close()

    assert 1.0 < len(pcm) / 16000 < 3.0
    assert share_in_band(pcm) > 0.3
    assert active_level(pcm) > -40
    assert again == pcm
    assert len(slow) > 1.2 * len(pcm)
    assert len(nothing) < 16000
    assert engine.pid is None


async def test_hibari_refuses_a_voice_that_is_not_installed_and_goes_on() -> None:
    engine = hibari()
    try:
        with pytest.raises(UnknownVoice, match="nobody"):
            await say(engine, voice="nobody")
        assert await say(engine)
    finally:
        await engine.close()


@pytest.mark.parametrize("language", ["en-US", "en-GB", "en-CA", "es-US", "es-MX", "es", "fr-CA", "de-DE", "pt-BR"])
async def test_espeak_speaks_other_languages(espeak_engine: WorkerEngine, language: str) -> None:
    pcm = await say(espeak_engine, "Radio Mexico, hotel, piano.", language)

    assert 1.0 < len(pcm) / 16000 < 4.0
    assert share_in_band(pcm) > 0.3


async def test_espeak_says_each_text_it_is_given(espeak_engine: WorkerEngine) -> None:
    """pyttsx3 writes nothing on its first run, and keeps only the last of several."""
    lengths = [len(await say(espeak_engine, "word " * count)) for count in (1, 10, 2, 40)]

    assert lengths[0] < lengths[2] < lengths[1] < lengths[3]


async def test_espeak_neither_drops_nor_hurries_a_sentence(espeak_engine: WorkerEngine) -> None:
    """pyttsx3 cancels whatever espeak's own thread is still doing: now and then the rate, or all of a sentence."""
    lengths = [len(await say(espeak_engine, speed=speed)) for _ in range(20) for speed in (0.8, 1.0, 1.5)]

    assert max(lengths[0::3]) < 1.05 * min(lengths[0::3])
    assert max(lengths[1::3]) < 1.05 * min(lengths[1::3]) < 0.9 * min(lengths[0::3])
    assert max(lengths[2::3]) < 1.05 * min(lengths[2::3]) < 0.8 * min(lengths[1::3])


@pytest.mark.parametrize(("language", "voice"), [("zz", ""), ("en-US", "nobody")])
async def test_espeak_refuses_what_it_has_no_voice_for(espeak_engine: WorkerEngine, language: str, voice: str) -> None:
    with pytest.raises(UnknownVoice):
        await say(espeak_engine, language=language, voice=voice)
    assert await say(espeak_engine)


async def test_a_worker_killed_in_mid_render_is_replaced_and_the_text_is_said(espeak_engine: WorkerEngine) -> None:
    expected = await say(espeak_engine)
    killed = espeak_engine.pid
    assert killed
    os.kill(killed, signal.SIGSTOP)  # so that the render cannot end before the kill
    render = asyncio.create_task(say(espeak_engine))
    await asyncio.sleep(0)
    os.kill(killed, signal.SIGKILL)

    assert alike(await render, expected)
    assert espeak_engine.pid not in {None, killed}


async def test_a_worker_that_hangs_is_replaced(espeak_engine: WorkerEngine) -> None:
    engine = espeak(Timeouts(sentence_s=2.0))
    try:
        expected = await say(engine)
        hung = engine.pid
        assert hung
        os.kill(hung, signal.SIGSTOP)

        assert alike(await say(engine), expected)
        assert engine.pid != hung
    finally:
        await engine.close()


async def test_a_cancelled_render_does_not_answer_the_next(espeak_engine: WorkerEngine) -> None:
    short = await say(espeak_engine, "one")
    pid = espeak_engine.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    render = asyncio.create_task(say(espeak_engine, "a much longer text than the other"))
    await asyncio.sleep(0)
    render.cancel()
    with pytest.raises(asyncio.CancelledError):
        await render

    assert espeak_engine.pid is None  # its answer might still come
    assert alike(await say(espeak_engine, "one"), short)


async def test_many_at_once_are_each_answered_with_their_own(espeak_engine: WorkerEngine) -> None:
    texts = ["word " * count for count in (5, 1, 8, 3)]
    alone = [await say(espeak_engine, text) for text in texts]
    at_once = await asyncio.gather(*(say(espeak_engine, text) for text in texts))

    assert all(map(alike, alone, at_once))


async def test_a_worker_whose_engine_fails_is_replaced(espeak_engine: WorkerEngine) -> None:
    with pytest.raises(SpeechUnavailable, match="failed twice: AssertionError"):
        await say(espeak_engine, "")  # pyttsx3 asserts that there is text
    assert await say(espeak_engine)


async def test_a_sentence_of_which_workers_die_is_given_up_and_kills_no_more(espeak_engine: WorkerEngine) -> None:
    """pyttsx3 asserts that there is text: twice in one request, once in the next."""
    engine = espeak()
    try:
        with pytest.raises(SpeechUnavailable):
            await say(engine, "")
        with pytest.raises(UnspeakableText, match="failed at it 3 times, and only at it"):
            await say(engine, "")
        assert await say(engine)
        alive = engine.pid
        with pytest.raises(UnspeakableText):
            await say(engine, "")
        assert (engine.pid, bool(alive)) == (alive, True)
    finally:
        await engine.close()


async def test_an_engine_that_fails_at_everything_gives_no_sentence_up(espeak_engine: WorkerEngine) -> None:
    engine = espeak(Timeouts(sentence_s=0.0))
    try:
        for _ in range(2):
            with pytest.raises(SpeechUnavailable, match="failed twice"):
                await say(engine)
    finally:
        await engine.close()


async def test_an_engine_that_is_not_there_says_so_and_is_left_alone_for_a_while() -> None:
    engine = WorkerEngine("missing", "0", lambda _language: True)
    with pytest.raises(SpeechUnavailable, match="missing is not available"):
        await say(engine)
    assert engine.pid is None
    with pytest.raises(SpeechUnavailable, match="missing is not available"):
        say(engine).send(None)  # at once, without waiting for another process


async def test_a_worker_that_is_late_to_start_is_given_up() -> None:
    engine = WorkerEngine("hibari", "0", lambda _language: True, Timeouts(start_s=0.01))
    with pytest.raises(SpeechUnavailable, match=r"failed twice: no answer within 0\.01 s"):
        await say(engine)
    assert engine.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals and pidfds are Linux's")
@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_dies_with_the_gateway(espeak_engine: WorkerEngine, *, busy: bool) -> None:
    script = (
        "import asyncio, sys\n"
        "from gateway.speech.tts import espeak\n"
        "async def main():\n"
        "    engine = espeak()\n"
        "    await engine.render('one', language='en-US', voice='', speed=1.0)\n"
        "    print(engine.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout
        worker = int(gateway.stdout.readline())
        if busy:
            os.kill(worker, signal.SIGSTOP)  # it cannot see that its pipe ended
        watched = os.pidfd_open(worker)
        gateway.kill()

    ended, _, _ = select.select([watched], [], [], 15)
    os.close(watched)
    assert ended
