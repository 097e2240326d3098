"""Break the gateway on purpose, one rule at a time, and see in how many trials of `make chaos` it is found.

    python -m tests.chaos.mutants            all of them; prints a table
    python -m tests.chaos.mutants slot       those whose name holds this word

As tests/simulation/mutants.py, with real processes. What was seen stands in docs/promises.md.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.simulation.mutants import MUTANTS, ROOT, Mutant

_FIRST_SEED: Final = 5_000
_NEEDED: Final = ("gateway", "config", "dialplans", "audio", "tests")
_NAMED: Final = {each.name: each for each in MUTANTS}


@dataclass(frozen=True, slots=True)
class Hunt:
    """One mutant, and the fault that should show it in one of so many trials."""

    mutant: Mutant
    fault: str
    trials: int = 3


HUNTS: Final = (
    Hunt(_NAMED["what a killed process left sending is queued again"], "kill -9 at random"),
    Hunt(_NAMED["what nobody answered for is queued again by itself"], "carrier trouble"),
    Hunt(
        Mutant(
            "a rebuild forgets the usage rows",
            "store/usage.py",
            "return Rebuild(await epoch(tx), [_row(row) for row in rows], ",
            "return Rebuild(await epoch(tx), [], ",
        ),
        "Redis empty",
    ),
    Hunt(_NAMED["units are not noted with the commit"], "Redis FLUSHALL"),
    Hunt(_NAMED["a write does not wait for its slot"], "nothing"),
    Hunt(_NAMED["a stop takes nothing back from the plan"], "STOP races sending"),
    Hunt(_NAMED["a state is left for one that the table does not allow"], "carrier trouble"),
    Hunt(
        Mutant(
            "a call that a killed process was dialling is queued again",
            "store/leases.py",
            'await calls.ended(tx, call_id, "unknown", now_ms, reason="worker_gone")',
            'await lives.move(tx, "calls", [call_id], "queued", now_ms) or '
            'await calls.ended(tx, call_id, "unknown", now_ms, reason="worker_gone")',
        ),
        "kill -9 while calling",
    ),
)


def hunt(wanted: Hunt) -> tuple[int, set[str]]:
    """Return in how many trials it was found, and by which checks."""
    with tempfile.TemporaryDirectory() as folder:
        tree, results = Path(folder), Path(folder) / "results"
        for name in _NEEDED:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        wanted.mutant.apply(tree)
        words = ["--fault", wanted.fault, "--first", str(_FIRST_SEED), "--count", str(wanted.trials)]
        command = [sys.executable, "-m", "tests.chaos", *words, "--results", str(results)]
        environ = {**os.environ, "PYTHONPATH": folder}
        subprocess.run(command, cwd=tree, env=environ, stdout=subprocess.DEVNULL, check=False)
        found = [json.loads(line)["findings"] for line in results.read_text().splitlines()]
    checks = {finding.partition(":")[0] for findings in found for finding in findings}
    return sum(bool(findings) for findings in found), checks


def main() -> int:
    """Print each with what found it; exit code: how many were not."""
    words = sys.argv[1:] or [""]
    missed = 0
    for each in HUNTS:
        if any(word in each.mutant.name for word in words):
            times, checks = hunt(each)
            missed += not times
            told = ", ".join(sorted(checks))
            print(f"in {times} of {each.trials}  {each.mutant.name}  ({each.fault}: {told})", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
