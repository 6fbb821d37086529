"""The same program with subprocess, and with this package."""

import subprocess
import sys

import gipc

# -- before
LINES = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"


def before():
    child = subprocess.Popen([sys.executable, "-c", LINES], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.write("hello\n")
    child.stdin.flush()
    print(child.stdout.readline().strip())  # waits without a limit
    child.stdin.close()
    print(child.wait())


# -- after
MESSAGES = """
import gipc
with gipc.stdio() as handle:
    for text in handle.messages():
        handle.put(text.upper())
"""


def after():
    child, handle = gipc.launch([sys.executable, "-c", MESSAGES])
    with handle:
        handle.put("hello")  # a value, not a line
        print(handle.get(timeout=20.0))
    child.join()
    print(child.exitcode)


# -- keep
def keep():  # the standard streams, as of subprocess
    child = gipc.exec_process(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = child.communicate(b"hello", timeout=20.0)
    print(out.decode(), child.exitcode)


# -- end
before()
after()
keep()
