"""docs/errors.md draws the tree of gateway/errors; neither drifts from the other."""

import importlib
import pkgutil
import re
from pathlib import Path

from gateway import errors
from gateway.errors import GatewayError

DOCUMENT = Path(__file__).parents[1] / "docs/errors.md"


def _kinds() -> list[type[GatewayError]]:
    rooms = [importlib.import_module(f"gateway.errors.{each.name}") for each in pkgutil.iter_modules(errors.__path__)]
    found = {kind for room in rooms for kind in vars(room).values() if isinstance(kind, type)}
    return [kind for kind in found if issubclass(kind, GatewayError)]


def _rows() -> set[str]:
    return {
        f"| `{kind.slug}` | {kind.status} | {_first_sentence(kind)} |" for kind in _kinds() if kind is not GatewayError
    }


def _first_sentence(kind: type) -> str:
    words = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s", words)[0].rstrip(":").rstrip(".") + "."


def test_the_document_has_one_row_for_each_error_and_no_other() -> None:
    written = {line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")}

    assert sorted(_rows() - written) == [], "missing in docs/errors.md"
    assert sorted(written - _rows()) == [], "in docs/errors.md, not in the code"


def test_slugs_are_unique_and_written_alike() -> None:
    slugs = [kind.slug for kind in _kinds()]

    assert len(slugs) == len(set(slugs))
    assert all(re.fullmatch(r"[a-z0-9_]+", slug) for slug in slugs)
