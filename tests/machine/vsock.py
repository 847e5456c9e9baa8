"""The vsock device: streams between guest and host, in both directions, under load, cut off."""
import hashlib
import pathlib
import socket
import threading

from lib import *
from lib.guest import *

TIMEOUT = 150
BUILDS = ["plain"]


def receive_all(connection):
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    return data


def vsock(path):
    return {"vsock": {"cid": 3, "path": str(path)}, "programs": [program("tests/machine/guest-vsock")]}


def serve(path, answers, count):
    """A host program behind "<path>": answers each connection with answers(what was sent)."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def work():
        for _ in range(count):
            client, _ = server.accept()
            with client:
                client.sendall(answers(receive_all(client)))
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_guest_reaches_a_host_program():
    path = pathlib.Path("v").resolve()
    big = bytes(range(253)) * 12000
    serve(f"{path}_7000", lambda data: hashlib.md5(data).hexdigest().encode() + b"\n" + big, 1)
    done = boot("head -c 3000000 /dev/urandom > /tmp/r; md5sum < /tmp/r;"
                "guest-vsock connect 7000 < /tmp/r > /tmp/a; head -n 1 /tmp/a;"
                "tail -c +34 /tmp/a | md5sum; echo x | guest-vsock connect 7001 2>&1",
                **vsock(path)).ok()
    lines = [word for line in done.out.splitlines() for word in line.split()[:1]
             if len(word) == 32]
    equal(len(lines), 3)
    equal(lines[0], lines[1])
    equal(lines[2], hashlib.md5(big).hexdigest())
    contains(done.out, "connect: Connection reset by peer")


def connect(path, port):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(300)
    client.connect(str(path))
    client.sendall(f"CONNECT {port}\n".encode())
    return client


def test_host_programs_reach_the_guest():
    path = pathlib.Path("v").resolve()
    description = describe("guest-vsock echo 52 3; echo served", **vsock(path))
    with Background(program("viv-vmm"), description) as machine:
        machine.wait_for("listening", 60)
        for size in (1, 70000, 2000000):
            data = bytes(range(251)) * (size // 251 + 1)
            with connect(path, 52) as client:
                got = []
                reader = threading.Thread(target=lambda: got.append(receive_all(client)))
                head = b""
                while not head.endswith(b"\n"):
                    head += client.recv(1)
                matches(head.decode(), r"^OK \d+\n$")
                reader.start()
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                reader.join(300)
                check(got and got[0] == data, f"{size}: {len(got[0]) if got else None} came back")
        machine.wait_for("served", 30)
        equal(machine.wait(30), 0)


def test_a_port_where_nobody_listens_is_closed():
    path = pathlib.Path("v").resolve()
    description = describe("echo up; sleep 100000", **vsock(path))
    with Background(program("viv-vmm"), description) as machine:
        machine.wait_for("up", 60)
        with connect(path, 99) as client:
            equal(client.recv(10), b"")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(300)
            client.connect(str(path))
            client.sendall(b"HELLO\n")
            equal(client.recv(10), b"")
