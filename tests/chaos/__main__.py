"""`make chaos`: trials by seed, each a small world of real processes with one trouble; see docs/promises.md.

python -m tests.chaos                     a whole round: every fault, on every database it fits
python -m tests.chaos --short             one short round, within three minutes
python -m tests.chaos --seed 123          one trial again as the line above its findings says
python -m tests.chaos --fault "disk full" --count 10
"""

import argparse
import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from tests.chaos import report
from tests.chaos.faults import FAULTS
from tests.chaos.trial import Trial, pairs, plan, run
from tests.peers.postgres import PostgresServer, binaries, postgres_server

_SHORT_S = 120  # at which no trial begins that may not have ended by then
_LONGEST_TRIAL_S = 45


def main() -> int:
    """Run what was asked for; exit code 1 where anything was found."""
    wishes = _wishes()
    logging.disable()  # the harness reads the databases that it breaks
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    began = time.monotonic()
    trials = asyncio.run(_trials(wishes, began))
    broken = [each for each in trials if each.findings]
    if wishes.report:
        sys.stdout.write(
            report.table(report.read(wishes.results) if wishes.results else [*map(report.line_of, trials)])
        )
    texts, unknown = sum(each.texts for each in trials), sum(each.unknown for each in trials)
    kinds = len({each.fault for each in trials})
    sys.stdout.write(
        f"chaos: {len(trials)} trials of {kinds} kinds of fault, {texts} texts, {unknown} unknown for a while, "
        f"{len(broken)} trials with findings, {time.monotonic() - began:.0f} s\n"
    )
    return 1 if broken else 0


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, help="run this one trial")
    parser.add_argument(
        "--count", type=int, default=len(pairs()), help="how many trials (default: a whole round of %(default)s)"
    )
    parser.add_argument("--first", type=int, help="the first seed; without it the time of day decides")
    names = [each.name for each in FAULTS]
    parser.add_argument(
        "--fault", metavar="NAME", default="", choices=["", *names], help="only this one: " + "; ".join(names)
    )
    parser.add_argument(
        "--store", metavar="NAME", default="", choices=["", "sqlite", "postgresql"], help="only on sqlite or postgresql"
    )
    parser.add_argument("--short", action="store_true", help="one short round, within three minutes")
    parser.add_argument("--full", action="store_true", help="pauses as long as in life: 60 s")
    parser.add_argument("--at-once", type=int, default=2, help="trials side by side (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep every trial's folder, not those with findings alone")
    parser.add_argument("--results", type=Path, help="append a JSON line for each trial to this file")
    parser.add_argument(
        "--report", action="store_true", help="print the table of docs/promises.md, of --results if given"
    )
    return parser.parse_args()


async def _trials(wishes: argparse.Namespace, began: float) -> list[Trial]:
    seeds = iter(_seeds(wishes))
    done: list[Trial] = []

    async def worker(server: PostgresServer | None) -> None:
        for seed in seeds:
            if wishes.short and time.monotonic() - began > _SHORT_S - _LONGEST_TRIAL_S:
                return
            kind, store = plan(seed, fault=wishes.fault, store=wishes.store or ("" if server else "sqlite"))
            shared = server if store == "postgresql" else None
            trial = await run(seed, kind, shared, full=wishes.full, keep=wishes.keep)
            done.append(trial)
            if wishes.results and not trial.skipped:
                report.append(wishes.results, trial)
            _tell(trial, wishes)

    at_once = 1 if wishes.seed is not None else wishes.at_once
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(postgres_server()) if _wants_postgres(wishes) else None for _ in range(at_once)]
        await asyncio.gather(*(worker(server) for server in own))
    return done


def _wants_postgres(wishes: argparse.Namespace) -> bool:
    return wishes.store != "sqlite" and binaries() is not None


def _seeds(wishes: argparse.Namespace) -> Iterator[int]:
    if wishes.seed is not None:
        yield wishes.seed
        return
    first = wishes.first if wishes.first is not None else int(time.time()) % 100_000 * len(pairs())
    yield from range(first, first + wishes.count)


def _tell(trial: Trial, wishes: argparse.Namespace) -> None:
    state = "FOUND" if trial.findings else f"no: {trial.skipped} " if trial.skipped else "ok"
    line = f"{state:<6}seed {trial.seed:<9}{trial.store:<11}{trial.fault:<24}{trial.texts:>4} texts {trial.seconds:5.1f} s\n"
    sys.stdout.write(line)
    if trial.findings or wishes.seed is not None:
        for each in (*trial.notes, *trial.findings[:30]):
            sys.stdout.write(f"      {each}\n")
    if trial.findings:
        words = f'--seed {trial.seed} --store {trial.store} --fault "{trial.fault}"'
        sys.stdout.write(f"      again: make chaos ARGS='{words}'; its files: {trial.folder}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
