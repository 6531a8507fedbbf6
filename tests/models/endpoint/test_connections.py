"""Connections to a server: as many as requests were under way at once, and each used again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from evals.models.endpoint.connections import Connections


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        addresses: ClassVar[list] = []
        together = threading.Barrier(1)

        def do_GET(self):
            self.addresses.append(self.client_address)
            self.together.wait(10)
            assert self.headers["Authorization"] == "Bearer k"
            body = self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        httpd.handler = Handler
        yield httpd
        httpd.shutdown()


def test_requests_at_the_same_time_have_their_own_connections_which_later_ones_use_again(server):
    connections = Connections({"Authorization": "Bearer k"}, {"version": "1"}, trust_env=False)
    url = "http://127.0.0.1:{}/{}".format(server.server_address[1], "{}")

    def get(number):
        with connections.client() as client:
            return client.get(url.format(number)).text

    server.handler.together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(get, range(4))) == [f"/{number}?version=1" for number in range(4)]
    assert len(set(server.handler.addresses)) == 4
    server.handler.together = threading.Barrier(1)
    for number in range(5):
        get(number)
    assert len(set(server.handler.addresses)) == 4
    assert len(set(server.handler.addresses[4:])) == 1  # the one that was used last
    with pytest.raises(ZeroDivisionError), connections.client():
        _ = 1 / 0
    get(9)
    assert len(set(server.handler.addresses)) == 4
    connections.close()
    with pytest.raises(RuntimeError, match="closed"):
        get(10)
