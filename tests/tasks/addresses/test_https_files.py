"""Files read by https: what a redirect may lead to."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.addresses.https_files import check_redirect
from tasks.base.errors import UsageError
from tasks.dataset.data_files import read_data_file
from tasks.dataset.store import Store


class Mirror(BaseHTTPRequestHandler):
    """Redirects to what the path says; `/words` is a file."""

    def do_GET(self) -> None:
        targets = {
            "/moved": "/words",
            "/round": "/round",
            "/http": "http://127.0.0.1:1/words",
            "/file": "file:///etc/passwd",
        }
        body = b"one\n" if self.path == "/words" else b""
        target = targets.get(self.path)
        self.send_response(302 if target else 200 if body else 404)
        if target:
            self.send_header("Location", target)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of `Mirror`, by https with a certificate that is trusted here."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_redirect_is_followed_within_https_only(mirror: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    assert read_data_file(store, f"{mirror}/words") == read_data_file(store, f"{mirror}/moved") == b"one\n"
    for path, reason in (("http", "which is not https"), ("file", "file"), ("round", "redirects more than 5 times")):
        with pytest.raises(UsageError, match=reason):
            read_data_file(store, f"{mirror}/{path}")
    with pytest.raises(UsageError, match="there is no file"):
        read_data_file(store, f"{mirror}/gone")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fd00::1]", "0.0.0.0"]
)
def test_a_public_host_redirects_to_public_hosts_only(host: str) -> None:
    with pytest.raises(OSError, match="a host of this machine or its own network"):
        check_redirect("https://1.1.1.1/words", f"https://{host}/credentials")
    check_redirect("https://127.0.0.1/words", f"https://{host}/words")
    check_redirect("https://1.1.1.1/words", "https://8.8.8.8/words")
