"""The house tools: what make and .ci/run do, what docker/ sets, and under what licences we stand."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gateway.settings import load

HOME = Path(__file__).parent.parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with our Makefile, and an environment that is already made."""
    shutil.copy(HOME / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "benchmarks").mkdir()
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / f".made-for-{VERSION}").touch()
    return tmp_path


def make(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", f"PYTHON={sys.executable}", *words]
    own = {name: value for name, value in os.environ.items() if "MAKE" not in name}  # not those of the make around us
    own.pop("MFLAGS", None)
    return subprocess.run(command, cwd=project, env=own, capture_output=True, text=True, check=False)


@needs_make
def test_make_hands_arguments_on_and_builds_nothing_twice(project: Path) -> None:
    assert make(project, "-n", "demo", "ARGS=--exit --report demo.json").stdout == (
        ".venv/bin/gateway demo --exit --report demo.json\n"
    )
    assert make(project, "-n", "test", "ARGS=-k gate").stdout == ".venv/bin/pytest -n 3 -k gate\n"


@needs_make
def test_make_builds_the_environment_when_dependencies_or_the_interpreter_changed(project: Path) -> None:
    stamp = project / ".venv" / f".made-for-{VERSION}"
    os.utime(stamp, (1, 1))
    assert "--editable" in make(project, "-n", "test").stdout

    stamp.rename(stamp.with_name(".made-for-3.9"))
    assert "rm -rf .venv" in make(project, "-n", "test").stdout


@needs_make
def test_bench_runs_every_benchmark_in_turn_and_stops_at_one_that_fails(project: Path) -> None:
    folder = project / "benchmarks"
    for name in ("b_second", "a_first"):
        (folder / f"{name}.py").write_text(f'print(\'{{"benchmark": "{name}"}}\')', encoding="utf-8")

    ran = make(project, "bench")
    assert [json.loads(line)["benchmark"] for line in ran.stdout.splitlines()] == ["a_first", "b_second"]

    (folder / "a_first.py").write_text("raise SystemExit(3)", encoding="utf-8")
    failed = make(project, "bench")
    assert failed.returncode != 0
    assert "b_second" not in failed.stdout


def run_ci(folder: Path, test_recipe: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/run over a project whose tests are `test_recipe`, on a machine without apt-get."""
    tools = folder / "bin"
    tools.mkdir()
    for tool in ("bash", "sh", "dirname", "id", "mktemp", "tee", "make", "grep", "tail", "rm", "echo", "printenv"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    (folder / "project" / ".ci").mkdir(parents=True)
    (folder / "shared" / "data").mkdir(parents=True)
    shutil.copy(HOME / ".ci" / "run", folder / "project" / ".ci")
    (folder / "project" / "Makefile").write_text(f"test:\n\t@{test_recipe}\nlint:\n\t@echo linted\n", encoding="utf-8")
    command = [str(tools / "bash"), str(folder / "project" / ".ci" / "run")]
    return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)


@needs_make
def test_ci_tests_then_lints_and_ends_with_the_histories_and_pytests_own_closing_line(tmp_path: Path) -> None:
    told = "echo 'histories: 9 of 10000' && echo '=== 3 passed, 1 skipped in 1.20s ==='"
    ran = run_ci(tmp_path, f"printenv GATEWAY_VECTORS && {told}")

    data = tmp_path / "shared" / "data"
    closing = ["histories: 9 of 10000", "=== 3 passed, 1 skipped in 1.20s ==="]
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [str(data), *closing, "linted", *closing]
    assert "far ends not installed" in ran.stderr


@needs_make
def test_ci_fails_when_a_test_fails(tmp_path: Path) -> None:
    ran = run_ci(tmp_path, "echo '=== 1 failed in 1.20s ===' && exit 1")

    assert ran.returncode != 0
    assert "linted" not in ran.stdout


def test_what_docker_sets_are_settings_and_are_safe() -> None:
    """The image's and compose's variables, with compose's own defaults, load without a complaint."""
    image = (HOME / "docker" / "Dockerfile").read_text(encoding="utf-8")
    compose = (HOME / "docker" / "compose.yaml").read_text(encoding="utf-8")
    environ = dict(re.findall(r"\b(GATEWAY_\w+)=(\S+)", image))
    for name, default, plain in re.findall(r"(?m)^ +(GATEWAY_\w+): (?:\$\{\w+:-(.*)\}|(\S+))$", compose):
        environ[name] = default or plain

    settings = load(HOME / "config" / "gateway.toml", environ)

    assert len(environ) == 7
    assert (settings.http.host, settings.redis.url) == ("0.0.0.0", "redis://valkey:6379/0")  # noqa: S104


def test_an_image_holds_what_is_installed_and_nothing_that_stands_beside_it() -> None:
    folder = HOME / "docker"
    copied = re.findall(
        r"(?m)^COPY (?!--from)(?:--\S+ )?(.+) \S+$", (folder / "Dockerfile").read_text(encoding="utf-8")
    )
    lines = (folder / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()

    assert {name for each in copied for name in each.split()} == {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*"
    assert re.search(r"(?m)^USER 10001:10001$", (folder / "Dockerfile").read_text(encoding="utf-8"))


def licence(package: metadata.Distribution) -> str:
    told = [(package.metadata.get_all(field) or [""])[0][:60] for field in ("License-Expression", "License")]
    kinds = [name for name in package.metadata.get_all("Classifier") or [] if name.startswith("License")]
    return " ".join(told + kinds)


def test_nothing_the_gateway_cannot_run_without_is_gpl() -> None:
    seen: dict[str, str] = {}
    waiting = ["campaign-gateway"]
    while waiting:
        package = metadata.distribution(waiting.pop())
        seen[package.name] = licence(package)
        needs = [Requirement(text) for text in package.requires or ()]
        hard = [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
        waiting += [name for name in hard if metadata.distribution(name).name not in seen]

    assert {"aiohttp", "hibari-tts", "redis"} <= seen.keys()
    assert {name: text for name, text in seen.items() if re.search(r"\bA?GPL", text)} == {}


def test_every_decision_is_listed_and_names_the_release_it_was_decided_for() -> None:
    folder = HOME / "docs" / "decisions"
    files = sorted(folder.glob("0*.md"))
    heads = {file: file.read_text(encoding="utf-8").split("\n", 3) for file in files}

    listed = (folder / "README.md").read_text(encoding="utf-8")
    lines = [
        f"- [{file.name[:4]}]({file.name}) {head[0].removeprefix(f'# {file.name[:4]}: ')}"
        for file, head in heads.items()
    ]
    assert [line for line in lines if f"{line}\n" not in listed] == []
    assert [file.name for file, head in heads.items() if not re.match(r"Decided for \d+\.\d+\.\d+\.", head[2])] == []


def test_every_page_of_the_docs_is_led_to_from_the_readme_and_no_link_leads_nowhere() -> None:
    pages = [HOME / "README.md", *(HOME / "docs").rglob("*.md")]
    links = {
        (page, (page.parent / link).resolve())
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    }

    assert [(page.name, to) for page, to in links if not to.exists()] == []
    led_to = {to for page, to in links if page.name == "README.md"}  # that of the decisions, too
    assert [page.name for page in pages[1:] if page.resolve() not in led_to] == []
