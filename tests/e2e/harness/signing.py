"""What verifies signatures for the tests, written from AWS's and Google's documents with nothing but the
standard library and the openssl command; and a token endpoint that may misbehave."""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse

from .scripted import Upstream, reply

PLUGIN_SIGN = pathlib.Path("tests") / "plugins" / "area_sign.so"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


# ---- AWS.

def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def aws4(request, keys, now=None):
    """Verifies a request's Signature Version 4; keys: {id: secret} or {id: (secret, token)}. Answers
    {"id", "region", "service", "headers"}; raises AssertionError when anything is not as it must be."""
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                     r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})", request.header("Authorization") or "")
    assert m, request.headers
    key_id, day, region, service, names, signature = m.groups()
    secret = keys[key_id]
    secret, token = secret if isinstance(secret, tuple) else (secret, None)
    assert request.header("X-Amz-Security-Token") == token
    stamp = request.header("X-Amz-Date")
    assert re.fullmatch(day + r"T\d{6}Z", stamp), stamp
    sent = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
    assert abs(sent - (time.time() if now is None else now)) < 120, stamp
    names = names.split(";")
    assert names == sorted(set(names)) and {"host", "x-amz-date"} <= set(names)
    # All that AWS wants to have signed is signed.
    for name in {k.lower() for k, _ in request.headers}:
        if name.startswith("x-amz-") or name == "content-type":
            assert name in names, name
    fields = "".join(
        name + ":" + ",".join(re.sub(" +", " ", v.strip()) for k, v in request.headers if k.lower() == name) + "\n"
        for name in names)
    path, _, query = request.path.partition("?")
    pairs = sorted(tuple(urllib.parse.quote(urllib.parse.unquote(p), safe="-_.~")
                         for p in (one.partition("=")[0], one.partition("=")[2])) for one in query.split("&") if one)
    canonical = "\n".join([
        request.method, urllib.parse.quote(path, safe="/-_.~"), "&".join(f"{k}={v}" for k, v in pairs), fields,
        ";".join(names), hashlib.sha256(request.body).hexdigest()])
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = _hmac(_hmac(_hmac(_hmac(b"AWS4" + secret.encode(), day), region), service), "aws4_request")
    assert hmac.compare_digest(_hmac(key, to_sign).hex(), signature), canonical
    return {"id": key_id, "region": region, "service": service, "headers": names}


# ---- Google.

def _openssl(*argv, **more):
    return subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=60, **more).stdout


class Account:
    """A service account with a key of its own."""

    def __init__(self, name="robot"):
        self.email = f"{name}@project.iam.gserviceaccount.com"
        self.pem = _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048").decode()
        self.public = _openssl("pkey", "-pubout", input=self.pem.encode())
        self.key_id = hashlib.sha256(self.public).hexdigest()[:40]

    def document(self, token_uri, **more):
        """The text of the JSON file."""
        return json.dumps({"type": "service_account", "project_id": "project", "private_key_id": self.key_id,
                           "private_key": self.pem, "client_email": self.email, "client_id": "1234567890",
                           "token_uri": token_uri, **more}, indent=2) + "\n"

    def verify(self, assertion, audience):
        """The claims of an assertion that is right."""
        head, body, signature = assertion.split(".")
        raw = [base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in (head, body, signature)]
        assert json.loads(raw[0]) == {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        with tempfile.TemporaryDirectory() as d:
            d = pathlib.Path(d)
            (d / "key").write_bytes(self.public)
            (d / "sig").write_bytes(raw[2])
            _openssl("dgst", "-sha256", "-verify", str(d / "key"), "-signature", str(d / "sig"),
                     input=f"{head}.{body}".encode())
        claims = json.loads(raw[1])
        assert claims["iss"] == self.email and claims["aud"] == audience, claims
        assert claims["exp"] == claims["iat"] + 3600 and abs(claims["iat"] - time.time()) < 60, claims
        return claims


class TokenEndpoint:
    """Gives a new token for each right request: token-1, token-2, ... `say`, if set, is what it answers
    instead: bytes, or a list of bytes and seconds. `lifetime`: what it says of the next token."""

    def __init__(self, accounts=(), users=None, tls=None):
        self.accounts = {a.email: a for a in accounts}
        self.users = users or {}  # refresh token -> (client_id, client_secret)
        self.lifetime, self.say, self.delay = 3600, None, 0
        self.given, self.faults, self.scopes = [], [], []
        self._lock = threading.Lock()
        self._server = Upstream(self._answer, tls=tls)
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self._server.port}/oauth/token"

    @property
    def requests(self):
        return self._server.requests

    def _check(self, request):
        assert request.method == "POST" and request.path == "/oauth/token", request.path
        assert request.header("Content-Type") == "application/x-www-form-urlencoded"
        form = dict(urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True))
        if form["grant_type"] == "refresh_token":
            assert self.users[form["refresh_token"]] == (form["client_id"], form["client_secret"])
            return None
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer", form
        claims = form["assertion"].split(".")[1]
        email = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"]
        return self.accounts[email].verify(form["assertion"], self.url)["scope"]

    def _answer(self, request):
        if self.say is not None:
            return self.say
        try:
            scope = self._check(request)
        except Exception as e:  # the test looks at them
            self.faults.append(repr(e))
            return reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        with self._lock:
            token = f"ya29.token-{len(self.given) + 1}"
            self.given.append(token)
            self.scopes.append(scope)
        out = reply(200, {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"})
        return [self.delay, out] if self.delay else out

    def stop(self):
        self._server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        assert not self.faults, self.faults
