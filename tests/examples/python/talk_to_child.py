"""A program that runs another one and talks to it in MessagePack.

    talk_to_child.py [COMMAND...]

The command may be of any language: ruby ../ruby/talk_to_child.rb child; without
one it runs itself.
"""

import sys

import gipc

CODEC = {"encoder": "msgpack", "decoder": "msgpack"}


def child():
    with gipc.inherit("parent", **CODEC) as parent:
        for question in parent.messages():
            parent.put({"question": question, "answer": question[::-1]})


def main(command):
    with gipc.pipe(duplex=True, **CODEC) as (mine, theirs):
        process = gipc.exec_process(command, handles={"parent": theirs})
        for question in ("stressed", "level"):
            mine.put(question)
            got = mine.get(timeout=20.0)
            print(got["question"], "is", got["answer"])
    process.join()
    print("the child ended with", process.exitcode)


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        child()
    else:
        main(sys.argv[1:] or [sys.executable, __file__, "child"])
