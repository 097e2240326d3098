"""`gateway dialplan`: plans checked, tested, tried in thought and held against real calls, by the command line."""

import json
import re
from pathlib import Path

from tests.command_line import HOME, complaint, run

PLAN = HOME / "dialplans" / "payment-reminder.yaml"


def test_dialplan_check_passes_the_shipped_plans_with_their_tests() -> None:
    ran = run("dialplan", "check", *sorted(map(str, (HOME / "dialplans").glob("*.yaml"))))

    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 7
    assert "7 tests passed" in ran.stdout


def test_dialplan_check_tells_file_line_and_node_and_checks_the_other_files_too(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(PLAN.read_text(encoding="utf-8").replace("otherwise: silent", "otherwise: silen"), encoding="utf-8")

    ran = run("dialplan", "check", str(bad), str(PLAN))

    line = 1 + next(at for at, text in enumerate(bad.read_text().splitlines()) if text.strip().startswith("menu:"))
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{bad}:")
    assert "node ask" in ran.stderr
    assert abs(int(ran.stderr.split(":")[1]) - line) <= 6
    assert "payment-reminder.yaml: good" in ran.stdout


def test_dialplan_check_runs_the_tests_beside_a_plan(tmp_path: Path) -> None:
    (tmp_path / "payment-reminder.yaml").write_bytes(PLAN.read_bytes())
    (tmp_path / "payment-reminder.test.yaml").write_text(
        '- name: is confirmed by two\n  keys: ["2", hangup]\n  expect: {outcome: confirmed}\n', encoding="utf-8"
    )

    told = complaint("dialplan", "check", str(tmp_path / "payment-reminder.yaml"))

    assert "payment-reminder.test.yaml:1: error: test 'is confirmed by two': outcome: expected confirmed" in told


def test_dialplan_check_renders_and_measures_every_prompt_as_a_launch_does(tmp_path: Path) -> None:
    plan = tmp_path / "offer.yaml"
    plan.write_text(
        "name: offer\nlanguage: es-US\nstart: who\nnodes:\n"
        "  who: {say: Le llama la oficina., next: ask}\n"
        "  ask: {menu: {prompt: {say: Oprima nueve.}, choices: {'9': stop}, otherwise: hangup}}\n"
        "  stop: {opt_out: tenant, then: hangup}\n"
    )
    own = {"GATEWAY_DATA_DIR": str(tmp_path / "data")}

    good = run("dialplan", "check", str(plan), "--render", **own)
    bad = run("dialplan", "check", str(plan), "--render", "--category", "telemarketing", **own)

    assert (good.returncode, bad.returncode) == (0, 1), good.stderr
    assert re.search(r"ask\tes-US\t1\.\d s\t-20\.\d dBov", good.stdout), good.stdout
    assert "offer.yaml:5: error: node who: speaks before a node with 'announces: identity'" in bad.stderr


def test_dialplan_test_tells_what_never_ran_and_fails_below_the_coverage_that_is_wanted(tmp_path: Path) -> None:
    plan = tmp_path / "x.yaml"
    plan.write_text(PLAN.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "x.test.yaml").write_text('- name: confirms\n  keys: ["1"]\n  expect: {outcome: confirmed}\n')

    short = run("dialplan", "test", str(plan), "--min", "100", "--json")
    whole = run("dialplan", "test", str(PLAN), "--min", "100")

    assert short.returncode == 1
    [told] = json.loads(short.stdout)
    assert (told["tests"], told["failed"]) == (1, [])
    missed = {(way["node"], way["way"]) for way in told["coverage"]["missed"]}
    assert {
        ("ask", "9"),
        ("ask", "silence"),
        ("ask", "wrong"),
        ("link", ""),
        ("agent", "on_failure"),
        ("machine", "leave"),
    } <= missed
    assert 0 < told["coverage"]["percent"] < 50
    assert (whole.returncode, whole.stdout.split()[-1]) == (0, "nothing")


def test_dialplan_replay_tells_which_real_calls_would_have_ended_otherwise(tmp_path: Path) -> None:
    row = {"dialplan": "payment-reminder", "dialplan_version": 1, "variables": {"name": "Ana"}, "answered_by": "human"}
    path = [{"node": node, "at_ms": 0} for node in ("which", "hello", "stop", "balance", "ask", "confirm", "bye")]
    calls = [{**row, "id": "call_1", "keys": "1", "outcome": "confirmed", "path": path}]
    (tmp_path / "calls.json").write_text(json.dumps({"items": calls}), encoding="utf-8")
    changed = tmp_path / "new.yaml"
    changed.write_text(PLAN.read_text(encoding="utf-8").replace('"1": confirm', '"4": confirm'), encoding="utf-8")
    given = ["--calls", str(tmp_path / "calls.json"), "--old", str(PLAN)]

    same = run("dialplan", "replay", str(PLAN), *given)
    other = run("dialplan", "replay", str(changed), *given)

    assert (same.returncode, same.stdout.splitlines()[1]) == (0, "1\tconfirmed\tconfirmed\t")
    assert (other.returncode, other.stdout.splitlines()[1]) == (1, "1\tconfirmed\tno_reply\tdiffers")
    assert "call_1: 1: which hello stop balance ask ask ask silent bye" in other.stdout


def test_dialplan_simulate_prints_a_transcript() -> None:
    told = run("dialplan", "simulate", str(PLAN), "--keys", "silence,1", "--var", "name=Ana").stdout

    assert "> Hello Ana. Your balance is due." in told
    assert "< says nothing" in told
    assert "which hello stop balance ask ask confirm bye" in told
    assert "confirmed" in told


def test_dialplan_simulate_names_missing_variables_and_wrong_keys() -> None:
    assert "variable 'nmae' is not declared by the dialplan; 'name' is missing" in complaint(
        "dialplan", "simulate", str(PLAN), "--var", "nmae=Ana"
    )
    assert "--keys" in complaint("dialplan", "simulate", str(PLAN), "--keys", "loud", "--var", "name=Ana")
