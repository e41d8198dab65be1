"""A connection in pieces: forwards to another port, and gives the answer on byte by byte."""
import socket
import threading


class Trickle:
    """What the upstream answers reaches the gateway in pieces of `size` bytes, each a packet."""

    def __init__(self, port, size=1):
        self.target, self.size = port, size
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [near, far]
            for a, b, size in ((near, far, 0), (far, near, self.size)):
                threading.Thread(target=self._pump, args=(a, b, size), daemon=True).start()

    @staticmethod
    def _pump(source, sink, size):
        try:
            while data := source.recv(65536):
                for at in range(0, len(data), size or len(data)):
                    sink.sendall(data[at:at + (size or len(data))])
        except OSError:
            pass
        finally:
            for s in (source, sink):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        for s in self._open:
            s.close()
