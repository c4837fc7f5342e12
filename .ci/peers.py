"""What the checks with peers that are not ours have in common: the program under test, its API, and servers on this machine."""
import collections
import email
import email.policy
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

PROGRAM, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2])
# How much later than it must be something may come on a machine that does much else, in seconds.
SPARE = 4

Answer = collections.namedtuple("Answer", "status headers body")


def stop_with(what):
    sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {what}")


def check(holds, what):
    if not holds:
        stop_with(what)


def wait_for(what, find, seconds=20, otherwise=lambda: ""):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = find()
        if found:
            return found
        time.sleep(0.05)
    stop_with(f"{what} did not come within {seconds} s{otherwise()}")


def free_port():
    """A port that nobody listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def environment():
    """The variables of the environment, without settings of the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOGWATCH_")}


def tls():
    """What a server of this machine shows to its clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(SCRATCH / "certificate.pem", SCRATCH / "key.pem")
    return context


class Handler(http.server.BaseHTTPRequestHandler):
    """A connection to a `Server`: it shakes hands in its own thread."""
    protocol_version = "HTTP/1.1"

    def setup(self):
        try:
            self.request.do_handshake()
        except (ssl.SSLError, OSError) as why:
            self.server.refusals.append(str(why))
            raise
        super().setup()

    def read(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """An HTTPS server on this machine. `refusals` are handshakes that failed; `gates` hold answers back."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.socket = tls().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.lock, self.refusals, self.gates = threading.Lock(), [], {}

    def serve(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # Whoever was killed does not read its answer.

    def url(self, path):
        return f"https://localhost:{self.server_port}{path}"

    def hold(self, *what):
        self.gates[what] = threading.Event()

    def wait(self, *what):
        gate = self.gates.get(what)
        if gate:
            gate.wait(60)

    def let_go(self, *what):
        self.gates.pop(what).set()


class Trap:
    """Counts connections that must not come."""

    def __init__(self):
        self.socket, self.caught = socket.create_server(("127.0.0.1", 0)), 0
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while True:
            connection, _ = self.socket.accept()
            self.caught += 1
            connection.close()


class Program:
    """The program, and its API."""

    def __init__(self, data=SCRATCH / "data", log=SCRATCH / "log"):
        self.data, self.log, self.process, self.admin, self.address = data, log, None, None, None
        # The API is asked without a proxy.
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def serve(self, *arguments, trap=None, port=0, **settings):
        """Starts it, on a free port if none is given. With a trap, whatever would go over a proxy is caught."""
        variables = environment()
        if trap:
            for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]:
                variables[name] = variables[name.lower()] = f"http://127.0.0.1:{trap.port}"
            for name in ["NO_PROXY", "no_proxy"]:
                variables.pop(name, None)
        command = [PROGRAM, "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{port}", *map(str, arguments)]
        self.address = None
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, env=variables | settings, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.process.stdout:
            if line.startswith("its admin: "):
                self.admin = line.split()[-1]
            if line.startswith("listening on "):
                self.address = line.split()[-1]
                break
        check(self.address, f"the program did not start: {self.log.read_text()[-500:]}")
        self.key = (self.data / "first-api-key").read_text().strip()

    def request(self, method, path, body=None, **headers):
        """An answer as it comes. A `_` in the name of a header stands for `-`."""
        request = urllib.request.Request(self.address + path, method=method, data=body)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with self.open(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, refusal.headers, refusal.read())

    def ask(self, method, path, body=None, key=None, **headers):
        headers["Authorization"] = f"Bearer {key or self.key}"
        if body is not None:
            headers["Content_Type"], body = "application/json", json.dumps(body).encode()
        answer = self.request(method, path, body, **headers)
        return Answer(answer.status, answer.headers, json.loads(answer.body))

    def call(self, method, path, body=None, key=None, status=None, **headers):
        answer = self.ask(method, path, body, key, **headers)
        fits = answer.status == status if status else answer.status in (200, 201)
        check(fits, f"{method} {path} gives {answer.status}: {answer.body}")
        return answer.body["data"]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(60) == 0, "the program did not stop well")


def read_mail(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def text_of(message):
    return message.get_body(("plain",)).get_content()


def mails_in(folder):
    """Pairs of an address, and a mail to it as text with its subject in front."""
    for path in sorted(folder.glob("*.eml")):
        message = read_mail(path.read_bytes())
        yield message["To"].addresses[0].addr_spec, f"{message['Subject']}\n{text_of(message)}"
