"""Child processes that a test cannot lose."""
import os
import signal
import subprocess
import threading
import time


class Child:
    """A process with its output in a file; ended by its own pid, never by name."""

    def __init__(self, argv, log_path, env=None, cwd=None, nofile=None):
        self.log_path = log_path
        self._log = open(log_path, "ab")
        self.argv = [str(a) for a in argv]

        def limits():
            if nofile:
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self._log,
                                     stderr=self._log, env=env, cwd=cwd, preexec_fn=limits)

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        with open(self.log_path, "r", errors="replace") as f:
            return f.read()

    def wait_for(self, found, seconds, what):
        """Waits until found(log text) answers something, and answers that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = found(self.log())
            if got:
                return got
            if self.proc.poll() is not None:
                raise AssertionError(f"{self.argv[0]} ended with {self.proc.returncode} before "
                                     f"{what}:\n{self.log()}")
            time.sleep(0.01)
        raise AssertionError(f"{self.argv[0]}: no {what} within {seconds} s:\n{self.log()}")

    def stop(self, seconds=20, signum=signal.SIGTERM):
        """Ends it and answers its exit code; one that does not end is killed and a failure."""
        if self.proc.poll() is None:
            self.proc.send_signal(signum)
        try:
            code = self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError(f"{self.argv[0]} (pid {self.pid}) did not end within {seconds} s of "
                                 f"signal {signum}:\n{self.log()}")
        finally:
            self._log.close()
        return code


class Thread(threading.Thread):
    """A thread whose exception reaches whoever joins it."""

    def __init__(self, target, *args):
        super().__init__(daemon=True)
        self._target_, self._args_, self.value, self.error = target, args, None, None

    def run(self):
        try:
            self.value = self._target_(*self._args_)
        except BaseException as e:  # handed to result()
            self.error = e

    def result(self, seconds=30):
        self.join(seconds)
        if self.is_alive():
            raise AssertionError("a thread of the test did not end")
        if self.error:
            raise self.error
        return self.value


def clean_env(**more):
    """The environment without provider keys and proxies, so that no test leaves this machine."""
    env = {k: v for k, v in os.environ.items()
           if not k.endswith(("_API_KEY", "_BASE_URL")) and "proxy" not in k.lower()}
    env.update(more)
    return env
