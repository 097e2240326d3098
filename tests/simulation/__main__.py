"""Run histories: `python -m tests.simulation --first 0 --count 1000 --processes 2`; one with its trace: `--trace 17`.

Sets of words come in the order of their hashes, and of other things in that of where they lie in memory. So `living` is begun
with PYTHONHASHSEED=0 and, where the system lets it, without random addresses; before anything is imported that takes a while.
"""

import ctypes
import os
import sys
from typing import NoReturn

_NO_RANDOM_ADDRESSES = 0x0040000  # personality(2)


def main() -> NoReturn:
    """Become the process that lives them."""
    if sys.platform == "linux":  # where it is forbidden, addresses stay random
        ctypes.CDLL(None).personality(_NO_RANDOM_ADDRESSES)
    environ = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}  # threads that nobody here needs spin
    os.execve(sys.executable, [sys.executable, "-m", "tests.simulation.living", *sys.argv[1:]], environ)  # noqa: S606


if __name__ == "__main__":
    main()
