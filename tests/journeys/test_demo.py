"""The demo as people run it: both broadcasts, real processes, and a report whose figures agree with each other."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

MESSAGES = 60
CALLS = 6


@dataclass(frozen=True)
class Shown:
    """What a demo left: its report, what the far end wrote down, and what was printed."""

    report: dict[str, Any]
    arrivals: list[dict[str, Any]]
    printed: str
    code: int


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Run a small demo, look at its far end while it is up, and end it by Ctrl-C."""
    folder = tmp_path_factory.mktemp("demo")
    words = ["--messages", str(MESSAGES), "--calls", str(CALLS), "--report", str(folder / "report.json")]
    command = [sys.executable, "-u", "-m", "gateway.cli", "demo", *words, "--dir", str(folder / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        printed = ""
        for line in demo.stdout:
            printed += line
            if line.startswith("Ctrl-C"):
                break
        found = re.search(r"(http://\S+)/practice/counts", printed)
        assert found is not None, printed
        with urllib.request.urlopen(f"{found[1]}/practice/ledger", timeout=5) as answer:  # noqa: S310
            ledger = json.load(answer)
        demo.send_signal(signal.SIGINT)
        try:
            code = demo.wait(timeout=30)
        finally:
            demo.kill()  # only where it did not end by itself
    return Shown(json.loads((folder / "report.json").read_text()), ledger["arrivals"], printed, code)


@pytest.mark.journey
def test_every_text_is_in_one_state_and_reached_the_far_end_at_most_once(shown: Shown) -> None:
    sms = shown.report["sms"]
    accepted = [each for each in shown.arrivals if each["channel"] == "text" and each["outcome"] == "accepted"]

    assert sms["submitted"] == sum(sms["by_state"].values()) == MESSAGES
    assert sum(sms["held"].values()) == sms["by_state"].get("held", 0)
    assert shown.report["far_end"]["messages_received"] == len(accepted)
    assert [each for each in accepted if each["copy"] > 1] == []
    assert sms["by_state"]["delivered"] <= len(accepted)


@pytest.mark.journey
def test_caps_and_the_rate_hold(shown: Shown) -> None:
    sms = shown.report["sms"]

    (cap,) = sms["caps"]
    assert (cap["window"], cap["limit"]) == ("day", 800)
    assert 0 < cap["used"] <= cap["limit"]
    assert sms["rate"]["allowed_per_s"] == 25


@pytest.mark.journey
def test_the_auditor_holds_the_database_against_the_far_end_and_finds_nothing(shown: Shown) -> None:
    audit = shown.report["audit"]

    assert audit["texts"] >= MESSAGES  # and the answers to keywords
    assert audit["findings"] == []
    assert f"Audit of {audit['texts']} texts" in shown.printed


@pytest.mark.journey
def test_a_reply_of_stop_is_counted_as_an_opt_out(shown: Shown) -> None:
    stopped = {each["to"] for each in shown.arrivals if each["to"].endswith("0020")}

    assert shown.report["sms"]["opt_outs"] == len(stopped) > 0


@pytest.mark.journey
def test_every_call_ends_and_keys_lead_to_outcomes(shown: Shown) -> None:
    voice = shown.report["voice"]

    assert voice["submitted"] == CALLS
    assert voice["by_state"] == {"completed": 5, "busy": 1}
    assert voice["by_outcome"] == {"confirmed": 4, "opted_out": 1}
    assert voice["keys_pressed"] == 5
    assert 1 <= voice["max_concurrent"] <= CALLS
    assert shown.report["far_end"]["calls_received"] == CALLS


@pytest.mark.journey
def test_ctrl_c_ends_the_demo_and_its_processes(shown: Shown) -> None:
    assert shown.code == 0
    assert "export GATEWAY_URL=" in shown.printed
    urls = set(re.findall(r"http://127\.0\.0\.1:\d+", shown.printed))
    assert len(urls) == 2
    for url in urls:
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url, timeout=2)  # noqa: S310


@pytest.mark.journey
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_half_way_ends_its_processes_and_leaves_no_folder(
    signum: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-u", "-m", "gateway.cli", "demo", "--messages", "500", "--calls", "0"]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as demo:
        assert demo.stdout is not None
        assert any("are handed over" in line for line in demo.stdout)
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signum)
        try:
            code = demo.wait(timeout=30)
        finally:
            demo.kill()
    assert code == 130
    assert [child for child in children if child.is_running()] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.journey
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_its_processes_end_when_the_demo_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "gateway.cli", "demo", "--messages", "10", "--calls", "0", "--dir"]
    with subprocess.Popen([*command, str(tmp_path / "work")], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert any("It is still up" in line for line in demo.stdout)
        handles = [os.pidfd_open(child.pid) for child in psutil.Process(demo.pid).children(recursive=True)]
        demo.kill()
    assert len(handles) >= 3  # the far end, the gateway, its Valkey
    for handle in handles:
        ended, _, _ = select.select([handle], [], [], 15)
        os.close(handle)
        assert ended
