#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A UDP sequence and a TCP stream side by side, and what of them was lost.

  stream.py server PORT
  stream.py client ADDRESS PORT SECONDS [RATE]     prints one JSON object; SIGTERM ends it earlier
The server echoes every datagram, so a number that does not come back is missing; buffers are large, so that
the machine's own scheduling loses nothing. RATE is datagrams a second (1000). TCP_INFO tells the stream's
retransmissions.
"""
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h; Python has no names for them
INTERVAL = 0.001
SILENCE = 3 * float(os.environ.get("NET_PATIENCE", 1))  # seconds: what is echoed later is missing
RATE = 1000
CHUNK = b"x" * 4096


def udp_socket(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
        sock.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
    return sock


def serve(port):
    udp = udp_socket(socket.AF_INET6)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))
    tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def echo():
        while True:
            data, peer = udp.recvfrom(64)
            udp.sendto(data, peer)

    threading.Thread(target=echo, daemon=True).start()
    while True:
        connection = tcp.accept()[0]
        while connection.recv(1 << 16):
            pass
        connection.close()


def receive(udp, seen, all_sent):
    """Until what all_sent holds in the end has come back, or nothing more does."""
    udp.settimeout(0.1)
    last = time.monotonic()
    while not (all_sent and (len(seen) == all_sent[0] or time.monotonic() > last + SILENCE)):
        try:
            seen.add(struct.unpack("!I", udp.recv(64))[0])
            last = time.monotonic()
        except TimeoutError:
            pass


def client(address, port, seconds, rate=RATE):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp, seen, all_sent = udp_socket(family), set(), []
    udp.connect((address, port))
    receiver = threading.Thread(target=receive, args=(udp, seen, all_sent))
    receiver.start()
    tcp = socket.create_connection((address, port), timeout=10)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    sent = turns = chunks = 0
    begin = due = time.monotonic()
    while (now := time.monotonic()) < begin + seconds and not ended.is_set():
        for _ in range(int(rate * INTERVAL)):
            udp.send(struct.pack("!I", sent))
            sent += 1
        turns += 1
        if turns % 4 == 0:
            tcp.sendall(CHUNK)
            chunks += 1
        due += INTERVAL
        if due > now:
            time.sleep(due - now)
    took = time.monotonic() - begin
    all_sent.append(sent)
    receiver.join()
    info = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 224)
    retransmissions = struct.unpack_from("I", info, 100)[0]  # tcpi_total_retrans
    duplicates = struct.unpack_from("I", info, 216)[0]  # tcpi_dsack_dups: the peer had it already
    tcp.close()
    result = {"udp_sent": sent, "udp_missing": sent - len(seen), "tcp_bytes": chunks * len(CHUNK),
              "tcp_retransmissions": retransmissions, "tcp_duplicates": duplicates}
    if rate != RATE:
        result["udp_rate"] = round(sent / took)
    print(json.dumps(result))


if sys.argv[1] == "server":
    serve(int(sys.argv[2]))
else:
    client(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), *map(int, sys.argv[5:]))
