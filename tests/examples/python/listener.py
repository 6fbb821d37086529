"""A listener gives each connection to one of two workers, which answers the request.
Its clients are threads, so that the program ends."""

import socket
from http.server import BaseHTTPRequestHandler
from urllib.request import urlopen

import gevent
from gevent.server import StreamServer

import gipc


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} is here\n".encode())

    def log_message(self, *args):
        pass


def answer():
    (fd,) = gipc.take_fds()
    with socket.socket(fileno=fd) as connection:
        connection.setblocking(True)  # a flag of the open file, as gevent set it
        Handler(connection, None, None)


# Without keep_fds, a worker has copies of the connections that are open at its start.
with gipc.Pool(workers=2, keep_fds=()) as pool:

    def give(connection, address):
        pool.call(answer, fds=[connection], timeout=60)

    server = StreamServer(("127.0.0.1", 0), give)
    server.start()
    url = f"http://127.0.0.1:{server.server_port}"
    fetch = gevent.get_hub().threadpool.apply
    for number in range(1, 4):
        print(fetch(lambda: urlopen(f"{url}/{number}").read().decode()), end="")
    server.stop()
