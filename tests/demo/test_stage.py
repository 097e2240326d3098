"""The demo before anything runs."""

import pytest

from gateway.demo import stage
from gateway.errors.cli import DemoFailed


async def test_without_an_engine_for_its_calls_it_says_what_to_install_instead_of_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "find_spec", lambda _name: None)
    monkeypatch.setattr(stage, "find_library", lambda _name: None)

    with pytest.raises(DemoFailed, match=r"campaign-gateway\[espeak\]"):
        await stage.run(stage.Wishes(messages=1, calls=1, directory=None, report=None, stays=False))
