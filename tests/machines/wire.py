"""Each kind of frame of gipc_frame(5), between this Python and a C program that may
be of another machine: raw bytes, Python's own Connection, and gipc's binding.

    wire.py FRAMES [ring|plain]     what many messages of two gipc peers go through
"""

import array
import os
import socket
import struct
import subprocess
import sys
from multiprocessing.connection import Connection

PROGRAM, TRANSPORT = sys.argv[1:]
LARGE, MANY = 70000, 2000
PATIENCE = 600
NUMBERS = ("<", ">")
large = bytes(i % 251 for i in range(LARGE))


def total(data):
    result = 0
    for byte in data:
        result = result * 31 % 1000003 + byte
    return result


class Peer:
    """The C program, with its stdin on the other end of our socket."""

    def __init__(self, word):
        self.socket, theirs = socket.socketpair()
        # The name of a handle that takes descriptors, and no rings.
        inode = os.fstat(self.socket.fileno()).st_ino
        self.socket.bind("\0gipc socket %x" % inode)
        self.process = subprocess.Popen(
            [PROGRAM, word], stdin=theirs, stdout=subprocess.PIPE, text=True
        )
        theirs.close()

    def expect_end(self, *lines):
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert output.splitlines() == list(lines), (output, lines)
        assert self.process.returncode == 0, self.process.returncode


def pipe_with(data):
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return reader


def read_exactly(s, size):
    got = s.recv(size, socket.MSG_WAITALL) if size else b""
    assert len(got) == size, (got, size)
    return got


def read_with_descriptors(s):
    """The word in front of a header, the payload and the descriptors of a message."""
    fds = array.array("i")
    head, control, _, _ = s.recvmsg(4, socket.CMSG_LEN(4 * 8))
    for _, kind, data in control:
        assert kind == socket.SCM_RIGHTS
        fds.frombytes(data)
    (size,) = struct.unpack("!i", read_exactly(s, 4))
    return struct.unpack("!I", head)[0], read_exactly(s, size), list(fds)


def raw_bytes_of_c():
    peer = Peer("write")
    s = peer.socket
    expected = b"\0\0\0\5hello" + b"\0\0\0\0" + struct.pack("!i", LARGE) + large
    assert read_exactly(s, len(expected)) == expected
    word, data, fds = read_with_descriptors(s)
    assert (word, data, len(fds)) == (0x80000002, b"two", 2), (word, data, fds)
    assert os.read(fds[0], 100) == b"in the pipe"
    for kind, name in enumerate([b"reader", b"writer", b"duplex"], 1):
        word, data, fds = read_with_descriptors(s)
        assert (word, data) == (0x80000001 | kind << 8, name), (hex(word), data)
        moved = Connection(fds[0])
        if name != b"writer":
            assert moved.recv_bytes() == b"through it"
        if name != b"reader":
            moved.send_bytes(b"back")
        moved.close()
    for i in range(MANY):
        frame = read_exactly(s, 8)
        assert frame[:4] == b"\0\0\0\4", frame
        assert any(struct.unpack(o + "I", frame[4:]) == (i,) for o in NUMBERS)
        s.sendall(frame)
    peer.expect_end("plain out, plain in")


def raw_bytes_for_c():
    peer = Peer("read")
    s = peer.socket
    fds = []
    s.sendall(b"\0\0\0\5hello" + b"\0\0\0\0" + struct.pack("!i", LARGE) + large)
    s.sendall(struct.pack("!iQ", -1, 4) + b"long")
    file = pipe_with(b"one")
    fds.append(file)
    message = struct.pack("!Ii", 0x80000001, 2) + b"fd"
    socket.send_fds(s, [message], [file])
    # Behind the word with the number of descriptors, the long form.
    message = struct.pack("!IiQ", 0x80000001, -1, 2) + b"fd"
    socket.send_fds(s, [message], [pipe_with(b"two")])
    a, b = socket.socketpair()
    Connection(os.dup(a.fileno())).send_bytes(b"moved")
    word = 0x80000002 | 3 << 8  # a duplex handle, and one more descriptor
    message = struct.pack("!Ii", word, 6) + b"handle"
    socket.send_fds(s, [message], [b.fileno(), pipe_with(b"three")])
    assert Connection(os.dup(a.fileno())).recv_bytes() == b"back"
    s.sendall(b"\0\0\0\5cut")
    s.shutdown(socket.SHUT_WR)
    files = "%d bytes, sum %d, a file with %s"
    peer.expect_end(
        *["%d bytes, sum %d" % (len(d), total(d)) for d in (b"hello", b"", large)],
        "4 bytes, sum %d" % total(b"long"),
        files % (2, total(b"fd"), "one"),
        files % (2, total(b"fd"), "two"),
        "6 bytes, sum %d, a handle reads moved, a file with three" % total(b"handle"),
        "GIPC_ETRUNCATED",
    )


def errors_of_c():
    for data, name in [
        (struct.pack("!i", -3), "GIPC_EPROTOCOL"),
        (struct.pack("!iii", -2, 7, 0), "GIPC_EPROTOCOL"),
        (struct.pack("!iQ", -1, 1 << 60), "GIPC_ETOOBIG"),
        (b"\0\0", "GIPC_ETRUNCATED"),
        (b"", "GIPC_EOF"),
    ]:
        peer = Peer("read")
        peer.socket.sendall(data)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.expect_end(name)


def stock_connection():
    peer = Peer("read")
    connection = Connection(peer.socket.detach())
    for data in (b"hello", b"", large):
        connection.send_bytes(data)
    connection.close()
    peer.expect_end(
        *["%d bytes, sum %d" % (len(d), total(d)) for d in (b"hello", b"", large)],
        "GIPC_EOF",
    )


def start(word):
    """The C program as a child of gipc, and the other end of its handle."""
    import gipc  # the rest needs no more than Python

    mine, theirs = gipc.pipe(duplex=True, encoder=None, decoder=None)
    child = gipc.exec_process(
        [PROGRAM, word], handles={"h": theirs}, stdout=subprocess.PIPE, text=True
    )
    assert mine.get(timeout=PATIENCE) == b"ready"
    return child, mine


def expect_end(child, *lines):
    output, _ = child.communicate(timeout=PATIENCE)
    assert output.splitlines() == list(lines), (output, lines)
    assert child.returncode == 0, child.returncode


def binding_reads():
    child, h = start("write")
    for data in (b"hello", b"", large):
        assert h.get(timeout=PATIENCE) == data
    assert h.get(timeout=PATIENCE) == b"two"
    fds = h.take_fds()
    assert len(fds) == 2 and os.read(fds[0], 100) == b"in the pipe"
    for name in (b"reader", b"writer", b"duplex"):
        assert h.get(timeout=PATIENCE) == name
        (moved,) = h.take_handles(encoder=None, decoder=None)
        if name != b"writer":
            assert moved.get(timeout=PATIENCE) == b"through it"
        if name != b"reader":
            moved.put(b"back")
        moved.close()
    for i in range(MANY):
        data = h.get(timeout=PATIENCE)
        assert any(struct.unpack(o + "I", data) == (i,) for o in NUMBERS)
        h.put(data)
    expect_end(child, "%s out, %s in" % (TRANSPORT, TRANSPORT))
    h.close()


def binding_writes():
    import gipc

    child, h = start("read")
    h.put(b"hello")
    h.put(large)
    h.put(b"fd", fds=[pipe_with(b"one")])
    ours, moves = gipc.pipe(duplex=True, encoder=None, decoder=None)
    ours.put(b"moved")
    h.put(b"handle", fds=[moves])
    assert ours.get(timeout=PATIENCE) == b"back"
    ours.close()
    for _ in range(MANY):
        h.put(b"many")
    h.shutdown()
    expect_end(
        child,
        *["%d bytes, sum %d" % (len(d), total(d)) for d in (b"hello", large)],
        "2 bytes, sum %d, a file with one" % total(b"fd"),
        "6 bytes, sum %d, a handle reads moved" % total(b"handle"),
        *["4 bytes, sum %d" % total(b"many")] * MANY,
        "GIPC_EOF",
    )
    h.close()


for test in (
    raw_bytes_of_c,
    raw_bytes_for_c,
    errors_of_c,
    stock_connection,
    binding_reads,
    binding_writes,
):
    test()
    print(test.__name__.replace("_", " "))
