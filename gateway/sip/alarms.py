"""What is to happen later in a call, outside of transactions. Times are those handed in."""

import heapq
from collections.abc import Callable
from itertools import count

Action = Callable[[float], None]
_FEWEST_STALE = 64  # alarms called off that may stay before the heap is made anew


class Alarm:
    """One action at one time; `cancel` calls it off."""

    __slots__ = ("_alarms", "action", "at")

    def __init__(self, alarms: "Alarms", at: float, action: Action) -> None:
        self._alarms = alarms
        self.at = at
        self.action: Action | None = action

    def cancel(self) -> None:
        """Call it off; without effect once it rang."""
        if self.action is not None:
            self.action = None
            self._alarms.called_off()


class Alarms:
    """All alarms of one user agent."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()
        self._stale = 0

    def __len__(self) -> int:
        """Return how many are still to ring."""
        return len(self._heap) - self._stale

    def at(self, when: float, action: Action) -> Alarm:
        """Have `action(now)` called when `when` has come."""
        alarm = Alarm(self, when, action)
        heapq.heappush(self._heap, (when, next(self._order), alarm))
        return alarm

    def called_off(self) -> None:
        """Count an alarm called off; half an hour's worth of them is not kept."""
        self._stale += 1
        if self._stale > _FEWEST_STALE and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._stale = 0

    def next_deadline(self) -> float | None:
        """Return when the next one rings, None for never."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self._stale -= 1
        return self._heap[0][0] if self._heap else None

    def tick(self, now: float) -> None:
        """Ring what is due."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, _, alarm = heapq.heappop(self._heap)
            action, alarm.action = alarm.action, None
            if action is not None:
                action(now)
