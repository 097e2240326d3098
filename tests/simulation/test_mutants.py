"""What is broken on purpose is there to be broken."""

from tests.simulation.mutants import MUTANTS, ROOT


def test_the_line_of_each_mutant_stands_once_in_its_file() -> None:
    stands = {each.name: (ROOT / "gateway" / each.file).read_text().count(each.old) for each in MUTANTS}

    assert stands == dict.fromkeys(stands, 1)
