"""Answers each message on stdin with the same one on stdout, and prints as
programs do that know nothing of it; ends with the code that it is given."""

import subprocess
import sys

import gipc

if not sys.stdout.isatty():
    print("printed before")  # and still in a buffer
handle = gipc.stdio(encoder=None, decoder=None)
for message in handle.messages():
    print("printed with", len(message), "bytes in hand", flush=True)
    subprocess.check_call("echo printed by a program; cat", shell=True)
    handle.put(message)
print("printed after")
sys.exit(int(sys.argv[1]))
