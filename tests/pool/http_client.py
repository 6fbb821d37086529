"""The client of a listener with a pool: http_client.py PORT COUNT

Asks for /0 to /COUNT-1 on connections of their own, some at a time, each of which is
answered with its path.  Prints the number of right answers."""

import http.client
import sys
import threading

AT_ONCE = 4


def ask(port, numbers, right):
    for number in numbers:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("GET", "/%d" % number)
        response = connection.getresponse()
        if response.status == 200 and response.read() == b"/%d\n" % number:
            right.append(number)
        connection.close()


def main():
    port, count = map(int, sys.argv[1:])
    right = []
    threads = [
        threading.Thread(
            target=ask, args=(port, range(first, count, AT_ONCE), right)
        )
        for first in range(AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(set(right)))
    sys.exit(len(set(right)) != count)


main()
