"""What the parent and the child of the matrix have in common, in Python."""

import zlib

MESSAGES = 10000
LARGEST = 1 << 17


def numbers(seed):
    """The same numbers in every language: no product reaches 2^53."""
    state = seed

    def next_below(n):
        nonlocal state
        state = state * 16807 % 2147483647
        return state % n

    return next_below


class Checksum:
    """Over the messages and their sizes."""

    def __init__(self):
        self.sum = 1
        self.total = 0

    def add(self, message):
        self.sum = zlib.adler32(b"%d:" % len(message), self.sum)
        self.sum = zlib.adler32(message, self.sum)
        self.total += len(message)

    def __bytes__(self):
        return b"%d messages, %d bytes, %08x" % (MESSAGES, self.total, self.sum)


def put_stream(put, seed):
    """Puts messages of mixed sizes, then one with their checksum."""
    below = numbers(seed)
    block = bytes(below(256) for _ in range(2 * LARGEST))
    checksum = Checksum()
    for _ in range(MESSAGES):
        offset = below(LARGEST)
        size = below(1 << min(below(18), below(18)))
        message = block[offset : offset + size]
        put(message)
        checksum.add(message)
    put(bytes(checksum))


def get_stream(get):
    checksum = Checksum()
    for _ in range(MESSAGES):
        checksum.add(get())
    expected = get()
    assert expected == bytes(checksum), "got %s; the peer put %s" % (
        bytes(checksum),
        expected,
    )
