"""The same program with multiprocessing, and with this package."""

import multiprocessing

import gipc


# -- before
def square_before(connection):
    while True:
        try:
            number = connection.recv()
        except EOFError:
            break
        connection.send(number * number)


def before():
    mine, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=square_before, args=(theirs,), daemon=True)
    child.start()
    theirs.close()  # otherwise nobody sees the end of the stream
    mine.send(7)
    if not mine.poll(5.0):
        raise TimeoutError
    print(mine.recv())  # waits without a limit for the rest of the message
    child.terminate()  # it has a copy of mine, so it sees no end of the stream
    child.join()


# -- after
def square(handle):
    for number in handle.messages():  # until the end of the stream
        handle.put(number * number)


def after():
    with gipc.pipe(duplex=True) as (mine, theirs):
        child = gipc.start_process(square, (theirs,), daemon=True)  # theirs moves
        mine.put(7)
        print(mine.get(timeout=5.0))  # of the whole message
    child.join()
    print(child.exitcode)


# -- end
before()
after()
