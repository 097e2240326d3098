"""docs/errors.md draws the tree of gateway/errors.py; neither drifts from the other."""

import re
from pathlib import Path

from gateway import errors
from gateway.errors import GatewayError

DOCUMENT = Path(__file__).parents[1] / "docs/errors.md"


def _rows() -> set[str]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)]
    return {
        f"| `{kind.slug}` | {kind.status} | {_first_sentence(kind)} |" for kind in kinds if kind is not GatewayError
    }


def _first_sentence(kind: type) -> str:
    words = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s", words)[0].rstrip(":").rstrip(".") + "."


def test_the_document_has_one_row_for_each_error_and_no_other() -> None:
    written = {line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")}

    assert sorted(_rows() - written) == [], "missing in docs/errors.md"
    assert sorted(written - _rows()) == [], "in docs/errors.md, not in the code"


def test_slugs_are_unique_and_written_alike() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)]
    slugs = [kind.slug for kind in kinds]

    assert len(slugs) == len(set(slugs))
    assert all(re.fullmatch(r"[a-z0-9_]+", slug) for slug in slugs)
