"""Lives histories, by seed, and tells in one line of JSON what came of them. Begun by `python -m tests.simulation`."""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterable

import structlog

from tests.simulation.history import History
from tests.simulation.world import Store

_COLLECT_EVERY = 20  # histories; in between nothing is collected, which is faster and always the same


def main() -> int:
    """Print one JSON line: how many histories, how fast, what failed by seed, and a digest of all that was written."""
    parser = argparse.ArgumentParser("python -m tests.simulation")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--within", type=float, default=float("inf"), help="seconds; then it stops")
    parser.add_argument("--seeds", type=int, nargs="*", help="these instead")
    parser.add_argument("--trace", type=int, metavar="SEED", help="tell one history")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    parser.add_argument("--asked", action="store_true", help="--count of them from each first seed on standard input")
    parser.add_argument("--processes", type=int, default=1, help="that share them")
    given = parser.parse_args()
    if given.processes > 1 and given.trace is None and not given.seeds:
        told = _share(given)
        print(json.dumps(told))
        return bool(told["failed"])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    sys.unraisablehook = lambda _what: None  # tasks of dead processes are taken apart in the middle of a `finally`
    store = Store()
    asyncio.run(store.open())
    if given.trace is not None:
        faults = History(given.trace, print).run(store)
        print(*faults, sep="\n")
        return bool(faults)
    if given.asked:
        for line in sys.stdin:
            first = int(line)
            print(json.dumps(run(store, range(first, first + given.count), given.failures, given.within)), flush=True)
        return 0
    seeds = given.seeds or range(given.first, given.first + given.count * given.every, given.every)
    told = run(store, seeds, given.failures, given.within)
    print(json.dumps(told))
    return bool(told["failed"])


def _share(given: argparse.Namespace) -> dict[str, object]:
    """Have each process live every n-th of them, and sum up."""
    began = time.perf_counter()
    words = ["--every", given.processes, "--count", given.count // given.processes, "--within", given.within]
    words += ["--failures", given.failures]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation.living", "--first", str(given.first + number), *map(str, words)],
            stdout=subprocess.PIPE,
        )
        for number in range(given.processes)
    ]
    found = [json.loads(each.communicate()[0].splitlines()[-1]) for each in running]
    return {
        "histories": sum(each["histories"] for each in found),
        "texts": sum(each["texts"] for each in found),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_ms_each": max(each["cpu_ms_each"] for each in found),
        "failed": {seed: faults for each in found for seed, faults in each["failed"].items()},
    }


def run(store: Store, seeds: Iterable[int], failures: int, within_s: float) -> dict[str, object]:
    """Live these histories, until so many have failed or the time is over."""
    gc.collect()
    gc.freeze()  # nothing that stays is looked at again
    gc.disable()
    began = time.perf_counter(), time.process_time()
    failed: dict[int, list[str]] = {}
    done, texts, digest = 0, 0, 0
    for seed in seeds:
        history = History(seed)
        try:
            faults = history.run(store)
        except Exception as error:  # noqa: BLE001 - told with its seed
            faults = [f"the simulation itself: {error!r}"]
        if faults:
            failed[seed] = faults[:5]
            if len(failed) >= failures:
                break
        done, texts = done + 1, texts + history.texts
        digest = hash((digest, history.digest))
        if done % _COLLECT_EVERY == 0:
            gc.collect()
        if time.perf_counter() - began[0] > within_s:
            break
    each_ms = round((time.process_time() - began[1]) * 1000 / max(1, done), 2)
    return {
        "histories": done,
        "texts": texts,
        "seconds": round(time.perf_counter() - began[0], 1),
        "cpu_ms_each": each_ms,
        "digest": digest,
        "failed": failed,
    }


if __name__ == "__main__":
    sys.exit(main())
