"""pyVoIP's own media, as a process: its RTP client for each call, with what its answer to a call would start.

python pyvoip_media.py PORT ...     the far end's; prints its own ports, and when it is told to end what keys each heard
"""

import json
import os
import socket
import sys

import numpy as np
from pyVoIP.RTP import PayloadType, RTPClient, TransmitType

from gateway.net.rtp_process import go_first

HERE = "127.0.0.1"
SECONDS = 60


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run until standard input is over."""
    noise = np.random.default_rng(1).normal(128, 20, SECONDS * 8000).clip(0, 255).astype(np.uint8).tobytes()
    go_first()  # as our own media process does
    clients, heard = [], []
    for port in map(int, sys.argv[1:]):
        keys: list[str] = []
        codecs = {0: PayloadType.PCMU, 101: PayloadType.EVENT}
        client = RTPClient(codecs, HERE, free_port(), HERE, port, TransmitType.SENDRECV, dtmf=keys.append)
        client.write(noise)
        client.start()
        clients.append(client)
        heard.append(keys)
    print(json.dumps([client.inPort for client in clients]), flush=True)
    sys.stdin.read()
    print(json.dumps(["".join(keys) for keys in heard]), flush=True)
    os._exit(0)  # its threads do not end by themselves


if __name__ == "__main__":
    main()
