"""Which ways through a plan its tests have gone: every node, and every way out of those that have several. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.voice.dialplan import BranchNode, CollectNode, MenuNode, Node, Plan, RecordNode, TransferNode
from gateway.voice.state import Exit
from gateway.voice.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Way:
    """One thing a test can do: enter a node (`by` is ""), or leave it by a key, a case, "silence" or "otherwise"."""

    node: str
    by: str
    line: int

    def __str__(self) -> str:
        """As a report names it."""
        return f"{self.node}: {self.by}" if self.by else self.node


@dataclass(frozen=True, slots=True)
class Coverage:
    """What ran of a plan, in the order of its file."""

    ways: tuple[Way, ...]
    missed: tuple[Way, ...]

    @property
    def percent(self) -> float:
        """100.0 when nothing was missed; rounded down, so that 100 means all."""
        return (len(self.ways) - len(self.missed)) * 1000 // len(self.ways) / 10

    def as_dict(self) -> dict[str, object]:
        """As JSON can hold it."""
        missed = [{"node": way.node, "way": way.by, "line": way.line} for way in self.missed]
        return {"ways": len(self.ways), "missed": missed, "percent": self.percent}


def coverage(plan: Plan, transcripts: Iterable[Transcript]) -> Coverage:
    """What these calls have run of a plan."""
    ran: set[Exit] = set()
    for transcript in transcripts:
        ran.update(transcript.exits)
        ran.update(Exit(node, "") for node in transcript.path)
    ways = tuple(every_way(plan))
    return Coverage(ways, tuple(way for way in ways if Exit(way.node, way.by) not in ran))


def every_way(plan: Plan) -> Iterable[Way]:
    """Every node of a plan and every way out of it, and what it does to a machine."""
    for name, node in plan.nodes.items():
        yield Way(name, "", node.line)
        for by in _ways_out(node):
            yield Way(name, by, node.line)
    if plan.machine.action != "human":
        yield Way("machine", plan.machine.action, plan.machine.line)


def _ways_out(node: Node) -> tuple[str, ...]:
    """How a node with several ways out is left, as the engine names it in `State.exits`."""
    match node:
        case MenuNode(choices=choices):
            return (*choices, "silence", "wrong", "otherwise")
        case CollectNode():
            return ("digits", "silence", "wrong", "otherwise")
        case BranchNode(cases=cases):
            return (*(f"case {value}" for value in cases), "otherwise")
        case TransferNode():
            return ("transferred", "on_failure")
        case RecordNode():
            return ("recorded", "otherwise")
        case _:
            return ()
