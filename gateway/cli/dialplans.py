"""Plans on files and in the gateway: checked, tested, published."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.common import AsJson, group, read_text, show, show_table
from gateway.cli.configured import Config, load
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask
from gateway.errors.cli import FileUnreadable
from gateway.errors.voice import BadDialplan
from gateway.model.job import Category
from gateway.voice import check, loader
from gateway.voice.cases import CaseResult, run_tests
from gateway.voice.coverage import Coverage, coverage
from gateway.voice.dialplan import Plan

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.speech.recordings import Recordings

dialplan_app = group("dialplan")

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML files, such as dialplans/*.yaml.")]


@dialplan_app.command("check")
def check_dialplan(
    files: Files,
    broadcast: Annotated[
        bool, typer.Option("--broadcast", help="Check as for a broadcast: it must also offer a key to opt out.")
    ] = False,
    render: Annotated[
        bool,
        typer.Option("--render", help="Render every prompt and look at it as a broadcast does before its first call."),
    ] = False,
    category: Annotated[
        Category, typer.Option(help="With --render: of the broadcast; some must say who calls and how to opt out.")
    ] = "informational",
    config: Config = None,
) -> None:
    """Check plans, and run the tests that stand beside them (NAME.test.yaml). Exit code 1 if anything is wrong.

    gateway dialplan check dialplans/*.yaml
    gateway dialplan check dialplans/customer-survey.yaml --render --category telemarketing
    """
    from gateway.speech.recordings import DEFAULT_LIMITS, Recordings  # noqa: PLC0415 - numpy, a tenth of a second

    settings = load(config)
    prompts = Recordings(settings.folders.audio / "prompts", DEFAULT_LIMITS)
    by_twilio = bool(settings.twilio.account_sid)
    plans = {file: _good(file, prompts, broadcast=broadcast, by_twilio=by_twilio) for file in _plans(files)}
    are_good = all(plans.values())
    if render:
        from gateway.cli.dialplan_render import sounds_good  # noqa: PLC0415 - the speech engines, half a second

        heard = [sounds_good(plan, settings, category) for plan in plans.values() if plan]
        are_good = are_good and all(heard)
    if not are_good:
        raise typer.Exit(1)


def _plans(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if not file.name.endswith(".test.yaml")]


def _good(file: Path, prompts: "Recordings", *, broadcast: bool, by_twilio: bool) -> Plan | None:
    """Print what is wrong with one plan and its tests, or that it is good; returns a good one."""
    try:
        plan, warnings = check.load_checked(
            read_text(file), file=str(file), prompts=prompts.names, broadcast=broadcast, by_twilio=by_twilio
        )
        results = _results(file, plan)
    except BadDialplan as bad:
        typer.echo(str(bad), err=True)
        return None
    for warning in warnings:
        typer.echo(str(warning), err=True)
    if not _tell_faults(file, results):
        return None
    typer.echo(f"{file}: good, {len(results)} tests passed")
    return plan


def tests_of(file: Path) -> Path:
    """Where the tests of a plan stand."""
    return file.with_suffix(".test.yaml")


def _results(file: Path, plan: Plan) -> list[CaseResult]:
    tests = tests_of(file)
    return run_tests(plan, read_text(tests), file=str(tests)) if tests.is_file() else []


def _tell_faults(file: Path, results: Sequence[CaseResult]) -> bool:
    """Print what did not come as expected; returns whether all did."""
    for result in results:
        for fault in result.faults:
            place = f"{tests_of(file)}:{result.case.line}"
            typer.echo(f"{place}: error: test {result.case.name!r}: {fault}", err=True)
    return all(result.has_passed for result in results)


@dialplan_app.command("test")
def try_dialplan(
    files: Files,
    least: Annotated[
        float,
        typer.Option("--min", metavar="PERCENT", min=0, max=100, help="The coverage that is wanted, in per cent."),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Run the tests beside plans, and tell which ways through each they have not gone. Exit code 1 if one fails.

    A way is a node, a key or other way out of a question, a case of a branch, what becomes of a transfer, a machine.

    gateway dialplan test dialplans/*.yaml --min 100
    """
    try:
        tried = [(file, *_tried(file)) for file in _plans(files)]
    except BadDialplan as bad:
        typer.echo(str(bad), err=True)
        raise typer.Exit(1) from None
    if as_json:
        show([_as_dict(file, results, covered) for file, results, covered in tried])
    else:
        _show_tried(tried)
    are_good = [_tell_faults(file, results) for file, results, _ in tried]
    if not all(are_good) or any(covered.percent < least for _, _, covered in tried):
        raise typer.Exit(1)


def _tried(file: Path) -> tuple[list[CaseResult], Coverage]:
    plan = loader.load(read_text(file), file=str(file))
    results = _results(file, plan)
    return results, coverage(plan, [result.transcript for result in results])


def _as_dict(file: Path, results: Sequence[CaseResult], covered: Coverage) -> dict[str, Any]:
    failed = [
        {"test": each.case.name, "line": each.case.line, "faults": each.faults} for each in results if each.faults
    ]
    return {"file": str(file), "tests": len(results), "failed": failed, "coverage": covered.as_dict()}


def _show_tried(tried: Sequence[tuple[Path, list[CaseResult], Coverage]]) -> None:
    rows = [
        (
            file,
            f"{sum(each.has_passed for each in results)} of {len(results)}",
            f"{covered.percent:g} %",
            ", ".join(f"{way} (line {way.line})" for way in covered.missed) or "nothing",
        )
        for file, results, covered in tried
    ]
    show_table(("plan", "passed", "coverage", "never ran"), rows)


@dialplan_app.command("publish")
def publish_dialplan(files: Files, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Hand plans to the running gateway, each with the tests beside it; it publishes what is good and passes them.

    A plan without tests here must pass those that it was published with before.

    A call in progress goes on with the version it began with.
    """
    for file in _plans(files):
        typer.echo(ask(url, key, partial(_published, file)))


@dialplan_app.command("get")
def get_dialplan(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published plan.")],
    version: Annotated[int | None, typer.Option(help="Which version; without it the newest.")] = None,
    folder: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write it.")] = Path(),
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Write a published plan and its tests to files, to be compared, replayed or mended. Files there stay as they are.

    gateway dialplan get payment-reminder --version 3 -o /tmp
    """
    query = {} if version is None else {"version": str(version)}
    answer = ask(url, key, lambda client: client.get(f"/v1/dialplans/{name}", **query))
    file = folder / f"{name}.yaml"
    for path, text in ((file, answer["source"]), (tests_of(file), answer["tests"])):
        if text:
            _write_new(path, text)
            typer.echo(str(path))


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise FileUnreadable(str(path), error.strerror or "cannot be written") from None


async def _published(file: Path, client: "Client") -> str:
    source, tests = read_text(file), tests_of(file)
    name = loader.load(source, file=str(file)).name
    body = {"source": source, "tests": read_text(tests) if tests.is_file() else None}
    answer = await client.put(f"/v1/dialplans/{name}", body)
    return f"{name}: version {answer.get('version')}"
