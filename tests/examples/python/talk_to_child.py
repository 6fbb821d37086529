"""A program that runs another one, here itself, and talks to it in MessagePack,
as it would to one in Ruby, Lua or C."""

import sys

import gipc

CODEC = {"encoder": "msgpack", "decoder": "msgpack"}


def child():
    with gipc.inherit("parent", **CODEC) as parent:
        for question in parent.messages():
            parent.put({"question": question, "answer": question[::-1]})


def main():
    with gipc.pipe(duplex=True, **CODEC) as (mine, theirs):
        process = gipc.exec_process(
            [sys.executable, __file__, "child"], handles={"parent": theirs})
        for question in ("stressed", "level"):
            mine.put(question)
            print(mine.get(timeout=20.0))
    process.join()
    print("the child ended with", process.exitcode)


if __name__ == "__main__":
    child() if sys.argv[1:] else main()
