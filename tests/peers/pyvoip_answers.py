"""pyVoIP as a telephone, in a process of its own: registers, answers one call, says when it is over.

python pyvoip_answers.py SERVER_PORT OWN_PORT RTP_PORT
"""

import sys
import time

from pyVoIP.VoIP import CallState, InvalidStateError, VoIPCall, VoIPPhone

ended = False


def answer(call: VoIPCall) -> None:
    """Answer, speak for half a second, then wait for the other side's end."""
    global ended  # noqa: PLW0603 -- pyVoIP calls back in a thread of its own
    try:
        call.answer()
        print("answered", flush=True)  # noqa: T201
        call.write_audio(b"\x90" * 4000)
        while call.state == CallState.ANSWERED:
            key = call.get_dtmf()
            if key:
                print("key", key, flush=True)  # noqa: T201
            time.sleep(0.02)
    except InvalidStateError:
        pass
    print("ended", flush=True)  # noqa: T201
    ended = True


server, own, rtp = map(int, sys.argv[1:])
phone = VoIPPhone(
    "127.0.0.1", server, "campaign", "made-up", myIP="127.0.0.1", sipPort=own, rtpPortLow=rtp, rtpPortHigh=rtp + 20,
    callCallback=answer,
)  # fmt: skip
phone.start()
print("registered", flush=True)  # noqa: T201
while not ended:
    time.sleep(0.05)
phone.stop()
