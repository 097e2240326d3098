"""Feed damaged input to one parser or to all: `python -m tests.fuzz [TARGET ...] --count N --seed S`."""

import argparse
import json
import sys

from tests.fuzz.runner import Finding, run
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Print one JSON line a target; 1 where one of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="all where none is named")
    parser.add_argument("--count", type=int, default=100_000, help="inputs a target")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs")
    asked = parser.parse_args()
    failed = 0
    for name in asked.targets or TARGETS:
        try:
            report = run(TARGETS[name](), count=asked.count, seed=asked.seed)
        except Finding as found:
            failed = 1
            print(json.dumps({"target": name, "found": str(found), "input": found.data.hex()}))
        else:
            print(json.dumps({"target": name, **report.as_json()}))
    return failed


if __name__ == "__main__":
    sys.exit(main())
