"""Every fault there is: what is done to a world while texts go out. The dice decide when, how long and how often."""

from typing import Final

from tests.chaos.fault import Fault, Nothing
from tests.chaos.faults_doors import (
    DatabaseCut,
    DatabaseKilled,
    DatabaseLocked,
    DatabasePaused,
    RedisEmpty,
    RedisEvicts,
    RedisFlushed,
    RedisKilled,
    RedisPaused,
    RedisStale,
    ServerDiskFull,
)
from tests.chaos.faults_gateway import (
    Boundary,
    CleanStop,
    ClockMoved,
    DiskFull,
    KillAnytime,
    KillAtStep,
    KillInCalls,
    Pause,
    Workers,
    all_steps,
)
from tests.chaos.faults_limits import LimitComes, LimitComesToTwo
from tests.chaos.faults_network import DatabaseSilent, HostSilent, RedisSilent
from tests.chaos.faults_outside import CarrierKilled, CarrierTrouble, StopRace


def _at_every_step() -> tuple[type[Fault], ...]:
    """A fault for each named step."""
    return tuple(type("KillAt", (KillAtStep,), {"name": f"kill -9 at {each}", "step": each}) for each in all_steps())


FAULTS: Final[tuple[type[Fault], ...]] = (
    KillAtStep,
    KillAnytime,
    KillInCalls,
    Pause,
    RedisFlushed,
    RedisStale,
    DatabaseLocked,
    CarrierTrouble,
    StopRace,
    Workers,
    DatabaseCut,
    Boundary,
    DiskFull,
    RedisKilled,
    ClockMoved,
    DatabaseKilled,
    ServerDiskFull,
    RedisEmpty,
    CarrierKilled,
    RedisPaused,
    LimitComes,
    LimitComesToTwo,
    CleanStop,
    RedisEvicts,
    DatabasePaused,
    RedisSilent,
    DatabaseSilent,
    HostSilent,
    Nothing,
    *_at_every_step(),
)
