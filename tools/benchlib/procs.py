"""Child processes: started pinned, measured through /proc, ended by pid whatever happens."""
import atexit
import ctypes
import os
import resource
import signal
import socket
import ssl
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


class BenchError(Exception):
    """Something that ends the run with a sentence instead of a traceback."""


def _child_setup(cpus):
    def setup():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if cpus:
            os.sched_setaffinity(0, cpus)
    return setup


class Proc:
    """One child, with its output in files or a pipe."""

    def __init__(self, argv, cpus=None, stdout=subprocess.DEVNULL, stderr=None, env=None):
        self.argv = [str(a) for a in argv]
        full = dict(os.environ, **env) if env else None
        try:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=full,
                preexec_fn=_child_setup(cpus), text=True)
        except OSError as e:
            raise BenchError(f"cannot start {self.argv[0]}: {e.strerror}") from e
        _running.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def send_signal(self, sig):
        if self.alive():
            self.popen.send_signal(sig)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        """Ends the child (and, when it must be killed, its own children); returns its exit code."""
        if self.alive():
            pids = process_tree(self.pid)
            self.popen.send_signal(sig)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                for pid in pids:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.popen.wait()
        if self in _running:
            _running.remove(self)
        return self.popen.returncode

    def wait(self, timeout):
        """Waits for the end; returns what it wrote to stdout."""
        try:
            out, _ = self.popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise BenchError(f"{self.argv[0]} did not end within {timeout:.0f} s") from None
        if self in _running:
            _running.remove(self)
        return out


def stop_all():
    for p in list(reversed(_running)):
        p.stop(timeout=5)


atexit.register(stop_all)


def process_tree(pid):
    """pid and all its descendants."""
    found = [pid]
    for p in found:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children", encoding="ascii") as f:
                    found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return found


def cpu_ns(pid):
    """CPU time so far of the process, its threads and its children, in ns."""
    total = 0
    for p in process_tree(pid):
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/schedstat", encoding="ascii") as f:
                    total += int(f.read().split()[0])
        except OSError:
            try:
                with open(f"/proc/{p}/stat", encoding="ascii") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                ticks = int(fields[11]) + int(fields[12])
                total += ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
            except OSError:
                pass
    return total


def rss_kb(pid):
    """Resident memory of the process and its children, in KB."""
    total = 0
    for p in process_tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup", encoding="ascii") as f:
                for line in f:
                    if line.startswith("Rss:"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total


def free_ports(n):
    """n ports of 127.0.0.1 that were free a moment ago, all different."""
    socks = [socket.socket() for _ in range(n)]
    try:
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]
    finally:
        for s in socks:
            s.close()


def _unchecked():
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


def http(port, raw, timeout=5.0, tls=False):
    """Sends one request and reads its reply; returns (status, body)."""
    with socket.create_connection(("127.0.0.1", port), timeout) as plain:
        s = _unchecked().wrap_socket(plain) if tls else plain
        s.settimeout(timeout)
        s.sendall(raw)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = s.recv(65536)
            if not piece:
                raise ConnectionError("closed before the head was complete")
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = None
        for line in head.split(b"\r\n")[1:]:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while length is None or len(body) < length:
            if length is None and body.endswith(b"0\r\n\r\n"):
                break
            piece = s.recv(65536)
            if not piece:
                break
            body += piece
        return int(head.split(b" ", 2)[1]), body


def wait_answer(proc, port, raw, name, log, tls=False, limit=15.0):
    """Asks until a 200 comes; returns the seconds it took."""
    begin = time.perf_counter()
    last = "no connection"
    while time.perf_counter() - begin < limit:
        if proc is not None and not proc.alive():
            raise BenchError(f"{name} ended at once with code {proc.popen.returncode}: {log()}")
        try:
            status, body = http(port, raw, tls=tls)
            if status == 200:
                return time.perf_counter() - begin
            last = f"status {status}: {body[:300]!r}"
        except OSError as e:
            last = str(e)
        time.sleep(0.0005)
    raise BenchError(f"{name} gave no answer within {limit:.0f} s ({last}): {log()}")
