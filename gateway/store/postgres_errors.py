"""What PostgreSQL and the way to it raise: whose fault it is, and how it is told."""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

import asyncpg

from gateway.errors.store import StoreUnavailable

# connection, a plan from before a migration, transaction state, rollback, resources, operator, system, internal: not
# the fault of one work
_EVERYBODYS: Final = frozenset({"08", "0A", "25", "40", "53", "57", "58", "XX"})
_ONES_OWN: Final = frozenset({"22", "23"})  # a value, a constraint: the fault of who asked
AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Raise StoreUnavailable for what is raised inside, save what is the fault of who asked."""
    try:
        yield
    except AWAY as error:
        if isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] in _ONES_OWN:
            raise
        raise StoreUnavailable(why(error)) from error


def why(error: BaseException) -> str:
    """What happened, in words that hold no address, user or password."""
    if isinstance(error, asyncpg.PostgresError):
        return error.message or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # asyncio writes the address into it; a failed look-up does not
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return type(error).__name__


def is_everybodys(error: Exception) -> bool:
    """Whether nobody in the transaction can be kept, whosever statement it was."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate)[:2] in _EVERYBODYS
    return isinstance(error, (OSError, TimeoutError))
