"""What webhooks said waits for a database that is away: in order, bounded, and not for ever."""

import asyncio

import pytest

from gateway.api import patience
from gateway.api.patience import Patience
from gateway.errors.store import StoreUnavailable


class Store:
    """Away until it is back; notes what it took, in order."""

    def __init__(self) -> None:
        self.is_away = True
        self.kept: list[str] = []

    async def take(self, what: str) -> str:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        self.kept.append(what)
        return what


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_AGAIN_S", 0.01)
    monkeypatch.setattr(patience, "_LISTENS_S", 0.05)


async def test_what_nobody_could_be_told_of_is_taken_later_in_the_order_in_which_it_came() -> None:
    store, said = Store(), Patience()
    for what in ("STOP", "START"):
        with pytest.raises(StoreUnavailable):
            await said.taken(lambda what=what: store.take(what), of="a person")  # type: ignore[misc]

    store.is_away = False
    assert await said.taken(lambda: store.take("HELP"), of="a person") == "HELP"

    assert store.kept == ["STOP", "START", "HELP"]


async def test_beyond_a_bound_nothing_more_waits_and_a_stop_lets_go_of_the_rest() -> None:
    store, said = Store(), Patience(most=1)
    with pytest.raises(StoreUnavailable, match="any longer"):
        await said.taken(lambda: store.take("a"), of="a")
    with pytest.raises(StoreUnavailable, match="too many"):
        await said.taken(lambda: store.take("b"), of="b")

    await said.stop()
    store.is_away = False
    await asyncio.sleep(0.03)

    assert store.kept == []


async def test_a_fault_of_ours_is_told_and_not_tried_again() -> None:
    store, said, tries = Store(), Patience(), []

    async def faulty() -> None:
        tries.append(1)
        if len(tries) == 1:
            await store.take("nothing")
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        await said.taken(faulty, of="x")
    await asyncio.sleep(0.03)

    assert len(tries) == 2
