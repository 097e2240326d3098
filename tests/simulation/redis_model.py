"""A model of a Redis server, on which the gate's own Lua scripts run, in the Lua that Redis embeds.

It keeps hashes and sorted sets with their expiry, has run and replication ids and scripts that a restart forgets, and can
be away, flushed, restarted, replaced by a stale replica, or slow. It passes the tests of the real one: tests/limits
runs them on both. Source: redis.io/commands, and the rules for Lua's values at redis.io/docs/programmability.
"""

import copy
import hashlib
import time
from collections.abc import Callable
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type
from redis.exceptions import NoScriptError

_lua = LuaRuntime(unpack_returned_tuples=True)  # one a process: compiling a script takes longer than running it
_with = _lua.eval("""function(source)
  return assert(loadstring('local KEYS, ARGV, redis = ...\\n' .. source))
end""")
_lua.execute("""cmsgpack = {  -- what a server's Lua has; only lists of whole numbers, and in a format of its own
  pack = function(numbers)
    local words = {}
    for i, each in ipairs(numbers) do words[i] = string.format('%.0f', each) end
    return table.concat(words, ',')
  end,
  unpack = function(text)
    local numbers = {}
    for each in string.gmatch(text, '[^,]+') do numbers[#numbers + 1] = tonumber(each) end
    return numbers
  end,
}""")
_compiled: dict[str, Any] = {}
_shas: dict[str, str] = {}
_asked: list["Server"] = []  # whose script runs. Lua itself is told of none: what it was given it lets go of too late


def _call(name: str, *words: Any) -> Any:
    return _asked[-1].from_lua(name, *words)


_redis = _lua.eval("function(python) return {call = function(...) return python(...) end} end")(_call)


def _wall_us() -> int:
    return time.time_ns() // 1000


class Server:
    """What one server keeps. `wall_us` is its own clock."""

    def __init__(self, wall_us: Callable[[], int] = _wall_us) -> None:
        self.wall_us = wall_us
        self.keys: dict[str, dict[str, Any]] = {}
        self.expiry_us: dict[str, int] = {}
        self.scripts: set[str] = set()
        self.starts = 0
        self.masters = 0
        self._commands: dict[str, Callable[..., Any]] = {}

    # --- what befalls it

    def flush(self) -> None:
        """FLUSHALL."""
        self.keys.clear()
        self.expiry_us.clear()

    def restart(self, *, keeps: bool) -> None:
        """Another run of it, with its data or without; no scripts."""
        if not keeps:
            self.flush()
        self.starts += 1
        self.masters += 1  # a master that restarts begins another replication history
        self.scripts.clear()

    def snapshot(self) -> Any:
        """What a replica has that falls behind from now on."""
        return copy.deepcopy((self.keys, self.expiry_us))

    def fail_over(self, replica: Any) -> None:
        """A replica takes its place; what came since `snapshot` is lost."""
        self.keys, self.expiry_us = copy.deepcopy(replica)
        self.restart(keeps=True)

    def evict(self, key: str) -> None:
        """Throw one key away, as a server short of memory would."""
        self.keys.pop(key, None)
        self.expiry_us.pop(key, None)

    # --- scripts

    def load(self, source: str) -> str:
        """SCRIPT LOAD."""
        sha = _shas.get(source)
        if sha is None:
            sha = _shas[source] = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            _compiled[sha] = _with(source)
        self.scripts.add(sha)
        return sha

    def evalsha(self, sha: str, numkeys: int, words: tuple[Any, ...]) -> Any:
        """EVALSHA."""
        if sha not in self.scripts:
            raise NoScriptError("No matching script.")
        texts = [to_word(word) for word in words]
        keys, args = _lua.table_from(texts[:numkeys]), _lua.table_from(texts[numkeys:])
        _asked.append(self)
        try:
            return _to_reply(_compiled[sha](keys, args, _redis))
        finally:
            _asked.pop()

    def from_lua(self, name: str, *words: Any) -> Any:
        """`redis.call`."""
        command = self._commands.get(name)
        if command is None:
            command = self._commands[name] = getattr(self, f"do_{name.lower()}")
        answer = command(*[word if word.__class__ is str else _to_text(word) for word in words])
        if answer.__class__ is list:
            return _lua.table_from([False if each is None else each for each in answer])
        return False if answer is None else answer  # a missing value is false in a script

    # --- commands: text in; text, an integer, None or a list of these out

    def _at(self, key: str) -> dict[str, Any]:
        """What is at `key`; an empty mapping that is not kept if nothing is."""
        until = self.expiry_us.get(key)
        if until is not None and until <= self.wall_us():
            self.evict(key)
        return self.keys.get(key, {})

    def _to(self, key: str) -> dict[str, Any]:
        if key in self.expiry_us:
            self._at(key)
        return self.keys.setdefault(key, {})

    def _trim(self, key: str) -> None:
        if not self.keys.get(key):
            self.evict(key)

    def do_time(self) -> list[Any]:
        seconds, micros = divmod(self.wall_us(), 1_000_000)
        return [str(seconds), str(micros)]

    def do_exists(self, key: str) -> int:
        return int(bool(self._at(key)))

    def do_del(self, *keys: str) -> int:
        found = sum(self.do_exists(key) for key in keys)
        for key in keys:
            self.evict(key)
        return found

    def do_pexpire(self, key: str, ms: str) -> int:
        if not self._at(key):
            return 0
        self.expiry_us[key] = self.wall_us() + int(ms) * 1000
        return 1

    def do_pttl(self, key: str) -> int:
        if not self._at(key):
            return -2
        return (self.expiry_us[key] - self.wall_us()) // 1000 if key in self.expiry_us else -1

    def do_hget(self, key: str, field: str) -> Any:
        return self._at(key).get(field)

    def do_hmget(self, key: str, *fields: str) -> list[Any]:
        found = self._at(key)
        return [found.get(field) for field in fields]

    def do_hgetall(self, key: str) -> list[Any]:
        return [word for pair in self._at(key).items() for word in pair]

    def do_hset(self, key: str, *pairs: str) -> int:
        found = self._to(key)
        before = len(found)
        found.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(found) - before

    def do_hincrby(self, key: str, field: str, by: str) -> int:
        found = self._to(key)
        found[field] = str(int(found.get(field, "0")) + int(by))
        return int(found[field])

    def do_hdel(self, key: str, *fields: str) -> int:
        gone = sum(self._at(key).pop(field, None) is not None for field in fields)
        self._trim(key)
        return gone

    def do_hkeys(self, key: str) -> list[Any]:
        return list(self._at(key))

    def do_hlen(self, key: str) -> int:
        return len(self._at(key))

    def do_zadd(self, key: str, *pairs: str) -> int:
        found = self._to(key)
        before = len(found)
        found.update({member: float(score) for score, member in zip(pairs[::2], pairs[1::2], strict=True)})
        return len(found) - before

    def do_zrem(self, key: str, *members: str) -> int:
        return self.do_hdel(key, *members)

    def do_zcard(self, key: str) -> int:
        return len(self._at(key))

    def do_zscore(self, key: str, member: str) -> Any:
        score = self._at(key).get(member)
        return None if score is None else _score(score)

    def do_zcount(self, key: str, low: str, high: str) -> int:
        return len(self.do_zrangebyscore(key, low, high))

    def do_zrange(self, key: str, first: str, last: str, *flags: str) -> list[Any]:
        ranked = sorted(self._at(key).items(), key=lambda item: (item[1], item[0]))
        stop = len(ranked) + int(last) if int(last) < 0 else int(last)
        return _members(ranked[int(first) : stop + 1], flags)

    def do_zrangebyscore(self, key: str, low: str, high: str, *flags: str) -> list[Any]:
        inside = _between(low, high)
        ranked = sorted(
            (item for item in self._at(key).items() if inside(item[1])), key=lambda item: (item[1], item[0])
        )
        if flags and flags[-3:-2] and flags[-3].upper() == "LIMIT":
            ranked = ranked[int(flags[-2]) : int(flags[-2]) + int(flags[-1])]
        return _members(ranked, flags)

    def do_zremrangebyscore(self, key: str, low: str, high: str) -> int:
        gone = self.do_zrangebyscore(key, low, high)
        return self.do_zrem(key, *gone) if gone else 0


def _score(score: float) -> str:
    return f"{score:.17g}"


def _members(ranked: list[tuple[str, float]], flags: tuple[str, ...]) -> list[Any]:
    if any(flag.upper() == "WITHSCORES" for flag in flags):
        return [word for member, score in ranked for word in (member, _score(score))]
    return [member for member, _ in ranked]


def _between(low: str, high: str) -> Callable[[float], bool]:
    bottom, top = float(low.removeprefix("(")), float(high.removeprefix("("))
    above = (lambda score: score > bottom) if low.startswith("(") else (lambda score: score >= bottom)
    below = (lambda score: score < top) if high.startswith("(") else (lambda score: score <= top)
    return lambda score: above(score) and below(score)


def to_word(word: Any) -> str:
    """One word of a request, as a client sends it."""
    return word.decode() if isinstance(word, bytes) else str(word)


def _to_text(word: Any) -> str:
    """What Redis makes of a number that a script passes to a command: fourteen digits and no more."""
    return f"{word:.14g}" if isinstance(word, float) else str(word)


def _to_reply(value: Any) -> Any:
    """What a client gets: bytes, integers cut off, lists up to the first nil."""
    if isinstance(value, str):
        return value.encode()
    if lua_type(value) == "table":
        return [_to_reply(value[index]) for index in range(1, len(value) + 1)]
    if isinstance(value, bool):
        return 1 if value else None
    return int(value) if isinstance(value, float) else value
