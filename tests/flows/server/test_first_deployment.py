"""README's first deployment, command by command, on a server of its own."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flows.server.postgres import postgres_programs
from tests.conftest import ROOT, stage_statuses
from tests.flows.running_programs import free_port, json_receiver, running, wait_until

pytestmark = [
    pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]
BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock

webhook = CustomWebhookNotificationBlock(name="failed", url=sys.argv[1], json_data={"text": "{{subject}}: {{body}}"})
print(webhook.save("failed"))
"""
COMMANDS = (
    (ROOT / "README.md").read_text().partition("## Deployed")[2].split("```")[1].removeprefix("sh\n").splitlines()
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter, which those of tests are not where they run as root."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_of_a_first_deployment(folder: Path, tiny_recipe: Path) -> None:
    start, *commands = [re.sub(r"\s+#.*", "", command) for command in COMMANDS]
    assert (start, len(commands)) == ("make server", 4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "PYTHONPATH": str(ROOT)}
    # As in README but for the places and a recipe that takes seconds; what is installed stays as it is (-o setup).
    places = [f"SERVER={folder / 'server'}", f"PORT={free_port()}", f"BIN={Path(sys.executable).parent}"]
    script = "\n".join(commands).replace(".sluice-server", str(folder / "server"))
    script = script.replace("/data/sluice", str(folder / "store")).replace("=demo", f"={tiny_recipe}")
    log = folder / "server.log"
    with running([*start.split(), "-o", "setup", *places], environment, log) as server:
        wait_until(lambda: "started!" in log.read_text(), folder)
        started = psutil.Process(server.pid).children(recursive=True)
        assert (folder / "server" / "environment").stat().st_mode & 0o777 == 0o600

        def shell(commands: str) -> str:
            done = subprocess.run(
                ["sh", "-e", "-c", commands], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
            return done.stdout

        shell(script)
        notifies_of_failures(lambda commands: shell(f". {folder / 'server' / 'environment'}; {commands}"), folder)
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    assert not [process for process in started if process.is_running()]
    assert stage_statuses("", folder / "store")["export"]["state"] == "done"


def notifies_of_failures(shell: Callable[[str], str], folder: Path) -> None:
    """The example automation, as its file says it is made, calls a webhook when a run has failed, and only then."""
    with json_receiver() as (url, heard):
        block = shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(BLOCK)} {url}/failed").strip()
        example = (ROOT / "infra" / "prefect" / "notify-on-failure.yaml").read_text()
        (folder / "automation.yaml").write_text(example.replace("BLOCK_ID", block))
        shell(f"prefect automation create --from-file {folder / 'automation.yaml'}")
        shell('prefect deployment run corpus/corpus --param \'recipe={"recipe": "demo", "set": {"pretrain": null}}\'')
        wait_until(lambda: heard, folder)
    [message] = (said["text"] for said in heard)
    assert "Sluice: " in message and "Failed" in message
    assert "sft needs a pretrain section" in message
    assert "/runs/flow-run/" in message and "None" not in message


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "server" / "postgres").mkdir(parents=True)
    (folder / "server" / "postgres" / "PG_VERSION").write_text("1\n")
    done = subprocess.run(
        [sys.executable, "-m", "flows.server", str(folder / "server"), "--port", str(free_port())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "did not start" in done.stderr and "postgresql.conf" in done.stderr
