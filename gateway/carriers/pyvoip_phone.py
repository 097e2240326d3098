"""pyVoIP's phone, as a process of its own: `python -m gateway.carriers.pyvoip_phone`. GPL-3.0 code runs here alone.

Its settings come as the first line of standard input, then one JSON object a line each way:

    in:  dial id number | play id audio (base64, 8-bit unsigned, 8 kHz) | stop id | hangup id
    out: ready | picked_up id | digit id digit | ended id | failed id

pyVoIP waits for ever for a first answer to an INVITE; each dial has a thread, and whoever started this process ends it.
"""

import base64
import json
import os
import select
import sys
import threading
import time
from typing import Any, Final

from pyVoIP import RTP
from pyVoIP.VoIP import CallState, PhoneStatus, VoIPPhone

from gateway.lifeline import end_with_parent

_LOOK_S: Final = 0.02
_DEAF_S: Final = 1.2  # its receiving thread begins a second after its start; what comes before is answered twice
_RTP_PORTS: Final = (30_000, 30_999)


class Phone:
    """One extension and its calls."""

    def __init__(self, out: int, settings: dict[str, Any]) -> None:
        self._out = out
        self._calls: dict[int, Any] = {}
        self._up: set[int] = set()
        self._unwanted: set[int] = set()
        low, high = _RTP_PORTS
        self._phone = VoIPPhone(**settings, callCallback=None, rtpPortLow=low, rtpPortHigh=high)
        self._phone.start()
        while self._phone.get_status() != PhoneStatus.REGISTERED:  # it tries again by itself, and gives up by itself
            if self._phone.get_status() == PhoneStatus.FAILED:
                os._exit(1)
            time.sleep(_LOOK_S)
        time.sleep(_DEAF_S)
        self.say("ready")

    def say(self, event: str, **words: object) -> None:
        """Tell whoever started this process."""
        os.write(self._out, json.dumps({"event": event, **words}).encode() + b"\n")

    def obey(self, op: dict[str, Any]) -> None:
        """Do what one line asks."""
        number, call = op["id"], self._calls.get(op["id"])
        match op["op"]:
            case "dial":
                threading.Thread(target=self._dial, args=(number, op["number"]), daemon=True).start()
            case "play" if call is not None:
                call.write_audio(base64.b64decode(op["audio"]))
            case "stop" if call is not None:
                for client in call.RTPClients:
                    client.pmout = RTP.RTPPacketManager()  # type: ignore[no-untyped-call]
            case "hangup":
                self._hang_up(number, call)

    def _dial(self, number: int, to: str) -> None:
        try:
            self._calls[number] = self._phone.call(to)
        except Exception:  # noqa: BLE001  whatever it is, the call was not placed, and the process goes on
            self.say("failed", id=number)

    def _hang_up(self, number: int, call: Any) -> None:
        if number in self._up:
            call.hangup()
        else:
            self._unwanted.add(number)  # it cannot take a call back; should it be answered, it ends at once

    def look(self) -> None:
        """See what has happened to the calls: it says nothing by itself."""
        for number, call in list(self._calls.items()):
            if call.state == CallState.ANSWERED and number in self._unwanted:
                call.hangup()
            elif call.state == CallState.ANSWERED and number not in self._up:
                self._up.add(number)
                self.say("picked_up", id=number)
            while number in self._up and (digit := call.get_dtmf()):
                self.say("digit", id=number, digit=digit)
            if call.state == CallState.ENDED:
                del self._calls[number]
                self.say("ended" if number in self._up else "failed", id=number)
                self._up.discard(number)


def main() -> None:
    """Run until standard input is over."""
    end_with_parent()
    out = os.dup(1)
    os.dup2(2, 1)  # what pyVoIP prints must not come between the lines
    phone = Phone(out, json.loads(sys.stdin.buffer.readline()))
    held = b""
    while True:
        if select.select([0], [], [], _LOOK_S)[0]:
            data = os.read(0, 1 << 20)
            if not data:
                os._exit(0)  # its threads do not end by themselves
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                phone.obey(json.loads(line))
        phone.look()


if __name__ == "__main__":
    main()
