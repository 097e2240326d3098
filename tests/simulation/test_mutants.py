"""What is broken on purpose is there to be broken."""

from tests.chaos.faults import FAULTS
from tests.chaos.mutants import HUNTS
from tests.simulation.mutants import MUTANTS, ROOT


def test_the_line_of_each_mutant_stands_once_in_its_file() -> None:
    mutants = [*MUTANTS, *(hunt.mutant for hunt in HUNTS)]
    stands = {each.name: (ROOT / "gateway" / each.file).read_text().count(each.old) for each in mutants}

    assert stands == dict.fromkeys(stands, 1)


def test_each_mutant_of_chaos_is_hunted_by_a_fault_that_there_is() -> None:
    assert {hunt.fault for hunt in HUNTS} <= {fault.name for fault in FAULTS}
