"""The cache gives back what it was given, survives what is done to its folder, and stays within its size."""

import os
from pathlib import Path

import pytest

from gateway.media import wav
from gateway.speech.audio import AudioCache, Recent, replace_file

SECOND = b"\x01\x02" * 8000
IDS = [f"{number:064x}" for number in range(10)]


def cache_in(folder: Path, *, max_bytes: int = 10**9, memory_bytes: int = 0) -> AudioCache:
    return AudioCache(folder, max_bytes=max_bytes, memory_bytes=memory_bytes)


async def test_what_was_put_is_found_after_a_restart(tmp_path: Path) -> None:
    await cache_in(tmp_path / "new").put(IDS[0], SECOND)
    found = await cache_in(tmp_path / "new").get(IDS[0])

    assert found is not None
    assert (found.pcm, found.seconds) == (SECOND, 1.0)
    assert found.path.read_bytes() == found.wav()
    assert wav.read(found.wav()) == SECOND


@pytest.mark.parametrize("audio_id", [IDS[1], "", "../../etc/passwd", "A" * 64, IDS[0][:-1]])
async def test_what_was_not_put_is_not_found(tmp_path: Path, audio_id: str) -> None:
    cache = cache_in(tmp_path)
    await cache.put(IDS[0], SECOND)

    assert await cache.get(audio_id) is None


async def test_a_damaged_file_counts_as_missing(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    kept = await cache.put(IDS[0], SECOND)
    kept.path.write_bytes(b"RIFF")

    assert await cache.get(IDS[0]) is None


async def test_the_folder_may_vanish(tmp_path: Path) -> None:
    cache = cache_in(tmp_path / "cache")
    kept = await cache.put(IDS[0], SECOND)
    kept.path.unlink()
    kept.path.parent.rmdir()

    assert await cache.get(IDS[0]) is None
    assert (await cache.put(IDS[0], SECOND)).path.exists()


async def test_the_least_recently_used_go_when_it_is_full(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, max_bytes=5 * 16044)
    for age, audio_id in enumerate(IDS[:5]):
        kept = await cache.put(audio_id, SECOND)
        os.utime(kept.path, (1000 + age, 1000 + age))
    assert await cache.get(IDS[0])  # used again: now the latest
    await cache.put(IDS[5], SECOND)

    assert [await cache.get(audio_id) is not None for audio_id in IDS[:6]] == [True, False, False, True, True, True]


def test_memory_holds_the_latest_within_its_size() -> None:
    recent = Recent(30)
    for key in "abc":
        recent.put(key, bytes(10))
    assert recent.get("a") == bytes(10)
    recent.put("d", bytes(10))
    recent.put("a", bytes(5))

    assert [key for key in "abcd" if recent.get(key) is not None] == ["a", "c", "d"]
    assert recent.get("a") == bytes(5)


def test_a_file_that_cannot_be_replaced_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "prompt.wav"
    (target / "in the way").mkdir(parents=True)

    with pytest.raises(OSError, match=r"prompt\.wav"):
        replace_file(target, b"new", durable=True)
    assert list(tmp_path.iterdir()) == [target]
