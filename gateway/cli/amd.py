"""Answering-machine detection tried on recordings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.common import AsJson, group, read_bytes, show, show_table
from gateway.cli.configured import Config, load
from gateway.errors.cli import FileUnreadable
from gateway.errors.speech import BadPrompt

if TYPE_CHECKING:
    from gateway.media.amd import Times
    from gateway.media.amd_trial import Trial

app = group("amd")

_SOUNDS: Final = {".wav", ".flac", ".ogg", ".mp3"}
_MOST_BYTES: Final = 64 << 20
_LONGEST_S: Final = 300.0


@app.command("test")
def try_recordings(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Recordings, in folders or with names that say which.")],
    trunk: Annotated[str | None, typer.Option(help="Use the times of this trunk of the settings.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run recordings of answered calls through the detection, and print what was taken for what.

    Each begins at the answer. What it is stands in its name or its nearest folder: human or machine.
    Exit code 1 if any was taken for the other.

    gateway amd test recordings/    # recordings/human/ana.wav, recordings/machine-7.wav ...
    """
    from gateway.media.amd_trial import confusion  # noqa: PLC0415  numpy: other commands need not wait for it

    times = _times(trunk, config)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SOUNDS)
    if not files:
        raise FileUnreadable(str(folder), "holds no wav, flac, ogg or mp3")
    trials = [_tried(file, folder, times) for file in files]
    matrix = confusion(trials)
    if as_json:
        show({"recordings": [_facts(trial) for trial in trials], "confusion": matrix})
    else:
        _print(trials, matrix)
    if matrix["human"]["machine"] + matrix["machine"]["human"]:
        raise typer.Exit(1)


def _times(trunk: str | None, config: Path | None) -> "Times":
    from gateway.carriers.detection import detection_times  # noqa: PLC0415  as above
    from gateway.media.amd import Times  # noqa: PLC0415

    if trunk is None:
        return Times()
    trunks = load(config).trunks
    if trunk not in trunks:
        raise typer.BadParameter(f"the settings name no trunk {trunk!r}", param_hint="--trunk")
    return detection_times(trunks[trunk]) or Times()


def _tried(file: Path, folder: Path, times: "Times") -> "Trial":
    from gateway.media.amd_trial import label_of, tried  # noqa: PLC0415  as above
    from gateway.speech.shaping import decoded  # noqa: PLC0415

    name = file.relative_to(folder)
    if file.stat().st_size > _MOST_BYTES:
        raise FileUnreadable(str(file), f"is larger than {_MOST_BYTES >> 20} MB")
    try:
        sound = decoded(read_bytes(file), max_seconds=_LONGEST_S)
    except BadPrompt as error:
        raise FileUnreadable(str(file), error.why) from None
    return tried(str(name), label_of((folder.name, *name.parts)), sound.pcm, times)


def _facts(trial: "Trial") -> dict[str, object]:
    found, ended = trial.found, trial.ended
    return {
        "file": trial.name,
        "label": trial.label or None,
        "verdict": found.by,
        "why": found.why,
        "known_after_s": found.at_ms / 1000,
        "beep_s": None if ended is None or ended.beep_ms is None else ended.beep_ms / 1000,
        "beep_hz": None if ended is None else ended.hertz,
    }


def _print(trials: "list[Trial]", matrix: dict[str, dict[str, int]]) -> None:
    rows = [list(_facts(trial).values()) for trial in trials]
    show_table(("file", "is", "taken for", "why", "known after s", "beep at s", "beep Hz"), rows)
    typer.echo("")
    verdicts = ("human", "machine", "unknown")
    show_table(
        ("is \\ taken for", *verdicts), ([label, *(row[each] for each in verdicts)] for label, row in matrix.items())
    )
