"""Reads from several children, whichever has a message, and sees how each ends."""

import sys

import gipc


def count(writer, number):
    for multiple in range(3):
        writer.put(multiple * number)
    sys.exit(number)


members = []
for number in (1, 10, 100):
    reader, writer = gipc.pipe()
    members += [reader, gipc.start_process(count, (writer, number))]

numbers, codes = [], []
while members:
    for one in gipc.wait(members):
        if isinstance(one, gipc.Process):
            codes.append(one.exitcode)
            members.remove(one)
            continue
        try:
            numbers.append(one.get())
        except EOFError:  # before or after the end of the process
            one.close()
            members.remove(one)
print(sorted(numbers))
print(sorted(codes))
