"""The tests that stand beside a plan: what a person does, and what must come of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.errors.voice import BadDialplan, PlanProblem
from gateway.voice.dialplan import SCOPES, Plan
from gateway.voice.transcript import ENTRIES, Transcript, is_entry, simulate
from gateway.voice.values import LANGUAGE, SAMPLES
from gateway.voice.yaml_source import Block, Fields, Items, Problems, Scalar, Value, read


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a plan. In `expect`, None means: not looked at."""

    name: str
    line: int
    keys: tuple[str, ...]
    variables: Mapping[str, str]
    path: tuple[str, ...] | None = None
    outcome: str | None = None
    collected: Mapping[str, str] | None = None
    opted_out: str | None = None  # a scope, or "no"
    said: tuple[str, ...] | None = None  # words that must be heard, in this order
    sms: tuple[str, ...] | None = None  # texts sent, whole


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one test went. `faults` is empty when it passed."""

    case: Case
    transcript: Transcript
    faults: tuple[str, ...]

    @property
    def has_passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.faults


def run_tests(plan: Plan, source: str, *, file: str) -> list[CaseResult]:
    """Run the tests that stand beside a plan.

    source:  the YAML text of the tests; `docs/dialplans.md` tells the form.
    Returns: one result a test, in the order of the file.
    Raises:  BadDialplan with every problem of the tests' file.
    """
    return [_run(plan, case) for case in load_tests(source, file=file)]


def faults(plan: Plan, source: str, *, file: str) -> tuple[PlanProblem, ...]:
    """What did not come as the tests beside a plan expect, each with the line of its test. Raises as `run_tests`."""
    return tuple(
        PlanProblem(file, result.case.line, None, f"test {result.case.name!r}: {fault}")
        for result in run_tests(plan, source, file=file)
        for fault in result.faults
    )


def _run(plan: Plan, case: Case) -> CaseResult:
    transcript = simulate(plan, {**given(plan), **case.variables}, case.keys)
    return CaseResult(case, transcript, tuple(_faults(case, transcript)))


def given(plan: Plan) -> dict[str, str]:
    """What a test that gives no variables has: a required one holds its own name, or a sample of its type."""
    samples = {LANGUAGE: plan.language} if plan.is_multilingual else {}
    return {
        name: samples.get(name) or SAMPLES.get(variable.type, name.replace("_", " "))
        for name, variable in plan.variables.items()
        if variable.default is None
    }


def _faults(case: Case, transcript: Transcript) -> Iterable[str]:
    seen: Mapping[str, object] = {
        "path": list(transcript.path),
        "outcome": transcript.outcome or "none",
        "collected": dict(transcript.collected),
        "opted_out": transcript.opted_out or "no",
        "sms": list(transcript.sms),
    }
    wanted: Mapping[str, object] = {
        "path": None if case.path is None else list(case.path),
        "outcome": case.outcome,
        "collected": None if case.collected is None else dict(case.collected),
        "opted_out": case.opted_out,
        "sms": None if case.sms is None else list(case.sms),
    }
    for name, want in wanted.items():
        if want is not None and want != seen[name]:
            yield f"{name}: expected {want}, got {seen[name]}"
    heard = iter(transcript.said)
    for text in case.said or ():
        if not any(text in line for line in heard):
            yield f"said: {text!r} was not heard, or not in this order"
    if transcript.unused:
        yield f"keys: the call was over before {', '.join(transcript.unused)}"


def load_tests(source: str, *, file: str) -> list[Case]:
    """Read a file of tests. Raises BadDialplan with every problem."""
    problems = Problems(file)
    root = read(source, problems)
    cases = []
    if root is not None and not isinstance(root, Items):
        problems.add(root.line, "tests are a list of blocks: - name: …")
    for item in root.items if isinstance(root, Items) else ():
        if isinstance(item, Block):
            cases.append(_case(Fields(item, problems)))
        else:
            problems.add(item.line, "a test is a block: name, keys, variables, expect")
    if problems.found:
        raise BadDialplan(tuple(problems.found))
    return cases


def _case(fields: Fields) -> Case:
    keys = _texts(fields, "keys") or ()
    for at, entry in enumerate(keys):
        if not is_entry(entry, first=at == 0):
            fields.wrong("keys", f"{entry!r} is not {ENTRIES}")
    case = Case(
        name=fields.text("name"), line=fields.block.line, keys=keys, variables=_mapping(fields, "variables") or {}
    )
    expect = fields.fields("expect")
    fields.done()
    if expect is None:
        return case
    case = replace(
        case,
        path=_texts(expect, "path"),
        outcome=expect.text("outcome") if expect.value("outcome") else None,
        collected=_mapping(expect, "collected"),
        opted_out=expect.choice("opted_out", (*SCOPES, "no"), default="no") if expect.value("opted_out") else None,
        said=_texts(expect, "said"),
        sms=_texts(expect, "sms"),
    )
    expect.done()
    return case


def _texts(fields: Fields, key: str) -> tuple[str, ...] | None:
    """A list of texts at `key`, None if absent."""
    value = fields.value(key)
    if value is None:
        return None
    if isinstance(value, Items) and all(isinstance(item, Scalar) for item in value.items):
        return tuple(item.text for item in value.items if isinstance(item, Scalar))
    fields.wrong(key, f"{key!r} must be a list of texts")
    return ()


def _mapping(fields: Fields, key: str) -> dict[str, str] | None:
    """A block of texts at `key`, None if absent."""
    value: Value | None = fields.value(key)
    if value is None:
        return None
    if isinstance(value, Block) and all(isinstance(item, Scalar) for item in value.items.values()):
        return {name: item.text for name, item in value.items.items() if isinstance(item, Scalar)}
    fields.wrong(key, f"{key!r} must be a block of texts")
    return {}
