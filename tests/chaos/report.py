"""The table of docs/promises.md: promise by fault, from trials that were really run."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos.trial import Trial

_PROMISES: Final = ("P1", "P2", "P3", "P4", "P5", "P6", "P7")


def line_of(trial: Trial) -> dict[str, Any]:
    """A trial as one line of the results file."""
    facts = {"seed": trial.seed, "fault": trial.fault, "store": trial.store, "texts": trial.texts}
    facts |= {"unknown": trial.unknown, "seconds": round(trial.seconds, 1), "findings": trial.findings}
    return facts | {"kills": sum("killed itself" in note for note in trial.notes)}


def append(file: Path, trial: Trial) -> None:
    """Add a trial to a results file, as a JSON line."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line_of(trial)) + "\n")


def read(file: Path) -> list[dict[str, Any]]:
    """Every line of a results file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown: what was run, how many times, and how often each promise was broken."""
    heads = ("fault", "trials on SQLite, PostgreSQL", "kills at a step", "texts", "unknown for a while", *_PROMISES)
    rows = [heads, ("---",) * len(heads)]
    for fault in sorted({each["fault"] for each in lines}):
        these = [each for each in lines if each["fault"] == fault]
        stores = Counter(each["store"] for each in these)
        facts = (sum(each.get(name, 0) for each in these) for name in ("kills", "texts", "unknown"))
        trials = f"{stores['sqlite']}, {stores['postgresql']}"
        rows.append((fault, trials, *map(str, facts), *(_kept(these, promise) for promise in _PROMISES)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _kept(these: Iterable[dict[str, Any]], promise: str) -> str:
    broken = sum(any(line.startswith(promise) for line in each["findings"]) for each in these)
    return f"broken in {broken}" if broken else "kept"
