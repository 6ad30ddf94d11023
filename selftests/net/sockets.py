#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One socket's view of a service, for test_connect_time.py, which runs this as a program in a place.

    sockets.py serve NAME PORT...           TCP and UDP on each port, both families; every answer is NAME
    sockets.py ask HOW ADDRESS PORT [N]     one JSON object: who answered, who the peer is said to be, or the error

HOW is tcp, udp (connected) or sent (UDP, not connected; N datagrams from one socket, N answers). With "6" behind it
an IPv4 address is written v4-mapped at an IPv6 socket. With "loop" as N the socket sends each line of stdin.
"""
import errno
import json
import select
import socket
import sys

TIMEOUT = 2.0


def plain(name):
    """(address, port) as the kernel gave it."""
    return f"{name[0]}|{name[1]}"


def ask_tcp(family, target, _count):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(target)
        return {"peer": plain(sock.getpeername()), "answers": [sock.recv(100).decode()]}


def exchange(sock, target, count):
    answers, sources = [], []
    for _ in range(count):
        if target:
            sock.sendto(b"?", target)
        else:
            sock.send(b"?")
        data, source = sock.recvfrom(100)
        answers.append(data.decode())
        sources.append(plain(source))
    return {"answers": answers, "from": sorted(set(sources))}


def ask_udp(family, target, count):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(target)
        return dict(exchange(sock, None, count), peer=plain(sock.getpeername()))


def ask_sent(family, target, count):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        return exchange(sock, target, count)


def loop(how, family, target):
    """A socket that lives on: for each line of stdin one question, and one line of what came."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        if how == "udp":
            sock.connect(target)
        for _ in sys.stdin:
            try:
                told = exchange(sock, None if how == "udp" else target, 1)
            except OSError as error:
                told = {"error": errno.errorcode.get(error.errno, "timeout")}
            print(json.dumps(told), flush=True)


def ask(how, address, port, count="1"):
    family = socket.AF_INET6 if ":" in address or how.endswith("6") else socket.AF_INET
    if how.endswith("6") and ":" not in address:
        address = "::ffff:" + address
    how, target = how.rstrip("6"), (address, int(port))
    if count == "loop":
        return loop(how, family, target)
    try:
        told = {"tcp": ask_tcp, "udp": ask_udp, "sent": ask_sent}[how](family, target, int(count))
    except OSError as error:
        told = {"error": errno.errorcode.get(error.errno, "timeout")}
    print(json.dumps(told))


def open_server(kind, port):
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock


def serve(name, *ports):
    servers = [open_server(kind, int(port)) for port in ports for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    print("ready", flush=True)
    while True:
        for sock in select.select(servers, [], [])[0]:
            if sock.type == socket.SOCK_DGRAM:
                sock.sendto(name.encode(), sock.recvfrom(100)[1])
                continue
            with sock.accept()[0] as client:
                client.sendall(name.encode())


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
