"""How settings are laid over one another, and where each came from. No setting is known here, only how they combine.

Lowest first: the file, the environment, flags. A secret may be given as `<key>_file`, the name of a file that holds
it (as Docker and systemd hand secrets over); it is never taken from the settings file itself.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gateway.errors.settings import SettingProblem

Key = tuple[str, ...]
Leaf = tuple[Key, object]

PREFIX = "GATEWAY_"
NOT_SETTINGS = frozenset({"GATEWAY_VECTORS"})  # tells the tests where reference data lies
SECRETS = frozenset({"auth_token", "password", "secret"})
NOT_A_VALUE = "is a section of settings, not a setting"
FILE, ENVIRONMENT, FLAGS = range(3)


class Layers:
    """The merged tree of settings, the problems met on the way, and the origin of every leaf.

    tree:     nested dicts, ready to be validated.
    problems: what was wrong with the layers themselves: an unreadable file, a secret in the wrong place.
    """

    def __init__(self, file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> None:
        self.tree: dict[str, object] = {}
        self.problems: list[SettingProblem] = []
        self._file = file
        self._origins: dict[Key, int] = {}
        self._lay(FILE, self._read_file())
        self._lay(ENVIRONMENT, _from_environ(environ))
        self._lay(FLAGS, ((tuple(name.split(".")), value) for name, value in overrides.items()))
        self._read_secrets()

    def problem(self, key: Key, what: str) -> SettingProblem:
        """Say what is wrong with a key, by the file, variable or flag that set it, or would have to."""
        below = (origin for leaf, origin in self._origins.items() if leaf[: len(key)] == key)
        beside = (origin for leaf, origin in self._origins.items() if leaf[: len(key) - 1] == key[:-1])
        origin = self._origins.get(key, next(below, next(beside, FILE) if len(key) > 1 else FILE))
        return self._problem(origin, key, what)

    def _problem(self, origin: int, key: Key, what: str) -> SettingProblem:
        if origin == ENVIRONMENT:
            return SettingProblem("environment", variable(key), what)
        file = str(self._file) if self._file else "defaults"
        return SettingProblem("flags" if origin == FLAGS else file, ".".join(key), what)

    def _read_file(self) -> Iterable[Leaf]:
        if self._file is None:
            return ()
        try:
            return tuple(_leaves((), tomllib.loads(self._file.read_text(encoding="utf-8"))))
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            what = f"is not TOML: {error}"
        self.problems.append(SettingProblem(str(self._file), "", what))
        return ()

    def _lay(self, origin: int, leaves: Iterable[Leaf]) -> None:
        for key, value in leaves:
            if origin == FILE and key[-1] in SECRETS and value:
                what = f"a secret does not belong in this file: set {variable(key)} or {key[-1]}_file"
                self.problems.append(self._problem(origin, key, what))
            else:
                self._set(origin, key, value)

    def _set(self, origin: int, key: Key, value: object) -> None:
        table = self.tree
        for part in key[:-1]:
            below = table.setdefault(part, {})
            if not isinstance(below, dict):
                return  # a value where a section belongs: the validation that follows says so
            table = below
        if isinstance(table.get(key[-1]), dict):
            if value != {}:
                self.problems.append(self._problem(origin, key, NOT_A_VALUE))
            return
        table[key[-1]] = value
        self._origins[key] = origin

    def _read_secrets(self) -> None:
        for named in [key for key in self._origins if key[-1].removesuffix("_file") in SECRETS - {key[-1]}]:
            name = self._table(named).pop(named[-1])
            key = (*named[:-1], named[-1].removesuffix("_file"))
            file_origin, own_origin = self._origins.pop(named), self._origins.get(key, -1)
            if own_origin == file_origin:
                self.problems.append(self._problem(file_origin, named, f"is given beside {key[-1]}: give one of them"))
            elif own_origin < file_origin and name:
                self._set(file_origin, key, self._secret(file_origin, named, str(name)))

    def _table(self, key: Key) -> dict[str, object]:
        table = self.tree
        for part in key[:-1]:
            below = table[part]
            assert isinstance(below, dict)  # noqa: S101  # _set made it so
            table = below
        return table

    def _secret(self, origin: int, named: Key, name: str) -> str:
        try:
            secret = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is not text"
            self.problems.append(self._problem(origin, named, f"cannot be read: {what}"))
            return ""
        if not secret:
            self.problems.append(self._problem(origin, named, "names an empty file"))
        return secret


def variable(key: Key) -> str:
    """The environment variable that sets a key: ``GATEWAY_HTTP__PORT``."""
    return PREFIX + "__".join(key).upper()


def _from_environ(environ: Mapping[str, str]) -> Iterator[Leaf]:
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            yield tuple(name.removeprefix(PREFIX).lower().split("__")), value


def _leaves(above: Key, table: Mapping[str, object]) -> Iterator[Leaf]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves((*above, name), value)
        else:
            yield (*above, name), value
