"""A viewer's server on loopback for the time of a test."""

import socket
import threading
from contextlib import contextmanager

from mimo.viewer.server import listen


@contextmanager
def served(*paths, **options):
    """Yield the address of a server of these files and stop it."""
    server, listener, address = listen(paths, **options)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes to the server and return all that it answers; what it refuses to read is not an error."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer
