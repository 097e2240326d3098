"""Break the gateway on purpose, one rule at a time, and see how many histories it takes until one is judged broken.

    python -m tests.simulation.mutants            all of them; prints a table
    python -m tests.simulation.mutants lease      those whose name holds this word

What was seen stands in docs/promises.md. Each runs on a copy of the tree, in a folder that is removed afterwards. A simulation that finds nothing wrong in these
would prove nothing about the gateway either.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
MOST: Final = 2_000  # histories


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule taken away: `old` stands once in `file` and becomes `new`."""

    name: str
    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Change the copy at `tree`."""
        path = tree / "gateway" / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: its line stands {text.count(self.old)} times in {self.file}")
        path.write_text(text.replace(self.old, self.new))


MUTANTS: Final = (
    Mutant(
        "what nobody answered for is queued again by itself",
        "workers/settlement.py",
        'return "unknown", reason, ""',
        'return "queued", reason, ""',
    ),
    Mutant(
        "what a killed process left sending is queued again",
        "store/leases.py",
        'await lives.move(tx, "messages", texts, "unknown", now_ms, reason="worker_gone")',
        'await lives.move(tx, "messages", texts, "queued", now_ms, reason="worker_gone")',
    ),
    Mutant(  # either of its two recalls alone suffices for this process's own
        "a stop takes nothing back from the plan",
        "store/signals.py",
        "return [message_id for recall in self._recalls for message_id in recall(criterion)]",
        "return []",
    ),
    Mutant(
        "a stop takes nothing back from other processes' plans",
        "store/recall.py",
        "if signals.elsewhere and (others := holders - {signals.holder}):",
        "if signals.elsewhere and (others := set[int]()):",
    ),
    Mutant(
        "a lease whose giving back found no database stays given",
        "workers/leases.py",
        "        await self._give()\n        beats.pop(holder, None)",
        "        beats.pop(holder, None)",
    ),
    Mutant(
        "opt-outs are not looked at when a text is sent",
        "workers/sender_loop.py",
        "planned.thing.recipient in opted_out",
        "False",
    ),
    Mutant(
        "units are not noted with the commit",
        "workers/counters.py",
        "await usage.add(tx, granted.debits, granted.seq)",
        "await usage.add(tx, (), granted.seq)",
    ),
    Mutant(
        "grants of an epoch before a rebuild are committed",
        "workers/counters.py",
        "if (epoch, version) != (granted.epoch, granted.version):",
        "if version != granted.version:",
    ),
    Mutant(
        "whoever lost the lease commits all the same",
        "workers/dispatch.py",
        "if not await lease.fence(tx):",
        "if lease.token < 0:",
    ),
    Mutant(
        "whoever lost the lease writes what it had committed",
        "workers/dispatch.py",
        "if not self.desk.leases.holds(self.lease):",
        "if self.lease.token < 0:",
    ),
    Mutant(
        "units come back for what may have been counted",
        "workers/settlement.py",
        "for each in again if _comes_back(each.outcome)]",
        "for each in batch]",
    ),
    Mutant(
        "a write does not wait for its slot",
        "workers/offer.py",
        "while (due_us := max([slot_us, *(clock.due(slot_us, segments) for clock in self.clocks)])) > now_us():",
        "while (due_us := 0) > now_us():",
    ),
    Mutant(
        "a write keeps no distance from the ones before it that were late",
        "limits/pacer.py",
        "return max([slot_us, *waits])",
        "return slot_us",
    ),
    Mutant(
        "a slot has no end",
        "workers/offer.py",
        "return at_us - slot_us + max(0, slept_us) > LATE_US",
        "return at_us < slot_us - LATE_US",
    ),
    Mutant(
        "what may have left in a slot that has passed is not counted",
        "limits/lua/rate.lua",
        "local list = each >= now and t.ahead or t.doubt",
        "local list = each >= now and t.ahead or {}",
    ),
    Mutant(
        "a slot that is only hoped for is granted",
        "limits/lua/rate.lua",
        "return math.max(climb(t, log, t.n, slot, count), horizon + 1)",
        "return climb(t, log, t.n, slot, count)",
    ),
    Mutant(
        "a reading that was taken back and read again may be written twice",
        "workers/plan.py",
        "return self.unwritten.get(planned.thing.id) is planned",
        "return planned.thing.id in self.unwritten",
    ),
    Mutant(
        "a slot near midnight is charged to one day only",
        "limits/lua/quotas.lua",
        "local NEAR = 2000000 ",
        "local NEAR = 0       ",
    ),
    Mutant(
        "a Redis that lost grants goes on granting",
        "limits/server.py",
        'await self.redis.eval(script("notice"), 1, MARKER, server)',
        "pass",
    ),
    Mutant(
        "two processes rebuild each other's counters",
        "store/usage.py",
        "if here.epoch != known:",
        "if here.epoch < 0:",
    ),
    Mutant(
        "a hand-over forgets what is not known of Redis's clock",
        "workers/offer.py",
        "at_us - slot_us + self.plan.redis_clock.doubt_us)",
        "at_us - slot_us)",
    ),
    Mutant(
        "late writes are told as if they had left in their slots",
        "limits/teller.py",
        "self.telling.left(slot, at_us)",
        "self.telling.left(slot)",
    ),
    Mutant(
        "the log of a rate is not looked at",
        "limits/lua/rate.lua",
        "if log[last] - log[first] < t.apart then",
        "if log[last] < log[first] then",
    ),
    Mutant(
        "a process that was stopped settles what another has committed since",
        "store/recall.py",
        "ours = await lives.may_settle(tx, things, ids, holders)",
        "ours = list(ids)",
    ),
    Mutant(
        "what was taken back before its commit is committed",
        "workers/dispatch.py",
        "for planned, _ in pairs if plan.holds(planned)]",
        "for planned, _ in pairs]",
    ),
    Mutant(
        "a loop that fails while it is stopped is begun again",
        "workers/loops.py",
        "task.cancelling():",
        "task.cancelled():",
    ),
    Mutant(
        "rates begin at once after a rebuild",
        "limits/lua/rebuild.lua",
        "if last_slot < 0 then last_slot = now + AHEAD end",
        "if last_slot < 0 then last_slot = 0 end",
    ),
    Mutant(
        "a state is left for one that the table does not allow",
        "store/lives.py",
        "allowed = sources(_MOVES[things], status)",
        "allowed = frozenset(_MOVES[things])",
    ),
    Mutant(
        "what comes back from the carrier forgets that its job was paused or cancelled",
        "store/lives.py",
        'stopped |= {row["id"]: row["status"] for row in await tx.rows(f"{things}_ids_stopped", ids=chunk)}',
        "stopped |= {}",
    ),
)


def hunt(mutant: Mutant, most: int = MOST) -> tuple[int, str] | None:
    """Return after how many histories it was caught and by which promise; None: it was not."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in ("gateway", "config"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests/simulation", tree / "tests/simulation")
        mutant.apply(tree)
        command = [sys.executable, "-m", "tests.simulation", "--count", str(most), "--failures", "1"]
        environ = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": folder, "PYTHONWARNINGS": "ignore"}
        ran = subprocess.run(
            command, cwd=tree, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    for seed, faults in found["failed"].items():
        return found["histories"] + 1, f"seed {seed}: {faults[0]}"
    return None


def main() -> int:
    """Print each with what caught it."""
    words = sys.argv[1:] or [""]
    wanted = [mutant for mutant in MUTANTS if any(word in mutant.name for word in words)]
    missed = 0
    with ThreadPoolExecutor(os.cpu_count()) as hunters:  # each waits for a process of its own
        for mutant, caught in zip(wanted, hunters.map(hunt, wanted), strict=True):
            missed += caught is None
            found = f"{caught[0]:>6}" if caught else f"not in {MOST}"
            print(f"{found}  {mutant.name}  ({caught[1] if caught else ''})", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
