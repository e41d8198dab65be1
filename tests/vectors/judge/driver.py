"""Talks to the program `drive`: one JSON case a line out, one JSON result a line in."""
import base64
import json
import select
import subprocess
import tempfile

ANSWER_SECONDS = 60
NOW_MS = 1700000000000  # the clock of the calls, unless a case says otherwise


class DriveDied(Exception):
    """The program ended or hung: a plugin broke a rule of the SDK, or crashed. What it said is in
    the message; the driver has started it anew."""


class Driver:
    """One plugin under `drive`. `options` is the plugin's own configuration, a dict."""

    def __init__(self, build, plugin, options=None):
        self.command = [f"{build}/tests/vectors/drive", f"{build}/plugins/chat.so",
                        f"{build}/plugins/{plugin}.so", json.dumps(options or {})]
        self.process = None
        self.start()

    def start(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors)

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:].strip()

    def give_up(self, what):
        self.process.kill()
        code = self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        message = f"{what} (exit {code}): {self.said()}"
        self.start()
        raise DriveDied(message)

    def run(self, case):
        try:
            self.process.stdin.write(json.dumps(case).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.give_up("drive ended before the case was read")
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        if not ready:
            self.give_up("drive hung")
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            self.give_up("drive ended in the middle of a case")
        return json.loads(line)


def reply_of(body, status=200, content_type="application/json", headers=(), feed="whole",
             broken=False):
    """The reply of a case. body: bytes."""
    reply = {"status": status, "type": content_type, "headers": [list(h) for h in headers],
             "feed": feed, "broken": broken}
    try:
        text = body.decode("utf-8")
        if "\0" in text:
            raise ValueError
        reply["body"] = text
    except ValueError:
        reply["body_base64"] = base64.b64encode(body).decode()
    return reply


def bytes_of(value):
    """A string of a result: bytes."""
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return value.encode()
