"""A server of the part of Kubernetes' API that a training Job needs; its pods are processes on this machine.

It checks what it is given against the API's published schema, as the real one does. It has no DNS: the name of pod 0
stands for this machine.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate

SCHEMA = "1.34.0"
_LOG = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/log")
_PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods")
_SERVICES = re.compile(r"/api/v1/namespaces/([^/]+)/services(?:/([^/]+))?")
_JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?")


class SmallKubernetes:
    """What the cluster holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, subprocess.Popen[bytes]] = {}
        self.requests: list[str] = []

    def create_job(self, job: dict[str, Any]) -> None:
        """Start a process for each pod of the Job."""
        name, spec = job["metadata"]["name"], job["spec"]
        self.jobs[name] = job
        [container] = spec["template"]["spec"]["containers"]
        *shell, line = container["command"]
        line = line.replace(f"{name}-0.{name}.{job['metadata']['namespace']}.svc", "127.0.0.1")
        for index in range(spec["completions"]):
            environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "JOB_COMPLETION_INDEX": str(index)}
            environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
            pod = f"{name}-{index}-abcde"
            with (self.folder / pod).open("wb") as log:
                self.pods[pod] = subprocess.Popen(
                    [*shell, line], env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )

    def delete_job(self, name: str) -> None:
        """End its pods with SIGTERM, and then forget it."""
        pods = [pod for own, pod in self.pods.items() if own.startswith(name)]
        for pod in pods:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pod.pid, signal.SIGTERM)
        for pod in pods:
            pod.wait(timeout=60)
        self.pods = {own: pod for own, pod in self.pods.items() if not own.startswith(name)}
        self.jobs.pop(name, None)

    def job(self, name: str) -> dict[str, Any]:
        """Return a Job with its status, as the API does."""
        codes = [pod.poll() for own, pod in self.pods.items() if own.startswith(name)]
        conditions = []
        if any(codes):
            conditions = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "a pod"}]
        elif codes and all(code == 0 for code in codes):
            conditions = [{"type": "Complete", "status": "True"}]
        return {**self.jobs[name], "status": {"active": codes.count(None), "conditions": conditions}}

    def pod_list(self, job: str) -> dict[str, Any]:
        """Return a Job's pods."""
        phases = {None: "Running", 0: "Succeeded"}
        items = [
            {"metadata": {"name": own}, "status": {"phase": phases.get(pod.poll(), "Failed")}}
            for own, pod in self.pods.items()
            if own.startswith(job)
        ]
        return {"apiVersion": "v1", "kind": "PodList", "items": items}


@contextlib.contextmanager
def small_kubernetes(folder: Path) -> Iterator[SmallKubernetes]:
    """Run the server during the block; KUBECONFIG must name `folder / "kubeconfig"`."""
    cluster = SmallKubernetes(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": cluster}))
    address = f"http://127.0.0.1:{server.server_address[1]}"
    entry = {"name": "small", "context": {"cluster": "small", "user": "small"}}
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "small", "contexts": [entry]}
    config |= {"clusters": [{"name": "small", "cluster": {"server": address}}]}
    config |= {"users": [{"name": "small", "user": {}}]}
    (folder / "kubeconfig").write_text(json.dumps(config))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        for name in list(cluster.jobs):
            cluster.delete_job(name)
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    cluster: SmallKubernetes

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if found := _LOG.fullmatch(path):
            self._send_log(found[2])
        elif _PODS.fullmatch(path):
            self._answer(self.cluster.pod_list(re.sub(".*job-name%3D", "", query)))
        elif (found := _JOBS.fullmatch(path)) and found[2] in self.cluster.jobs:
            self._answer(self.cluster.job(found[2]))
        else:
            self._refuse(404, "not found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            kubernetes_validate.validate(body, SCHEMA, strict=True)
        except kubernetes_validate.ValidationError as error:
            return self._refuse(422, str(error))
        kept = self.cluster.jobs if _JOBS.fullmatch(self.path) else self.cluster.services
        if body["metadata"]["name"] in kept:
            return self._refuse(409, "it exists")
        if kept is self.cluster.jobs:
            self.cluster.create_job(body)
        else:
            kept[body["metadata"]["name"]] = body
        self._answer(body, 201)

    def do_DELETE(self) -> None:
        job, service = _JOBS.fullmatch(self.path.partition("?")[0]), _SERVICES.fullmatch(self.path.partition("?")[0])
        if job and job[2] in self.cluster.jobs:
            threading.Thread(target=self.cluster.delete_job, args=(job[2],)).start()
        elif not (service and self.cluster.services.pop(service[2], None)):
            return self._refuse(404, "not found")
        self._answer({"apiVersion": "v1", "kind": "Status", "status": "Success"})

    def _send_log(self, pod: str) -> None:
        self.send_response(200)
        self.end_headers()
        process, ended = self.cluster.pods[pod], False
        with (self.cluster.folder / pod).open("rb") as log, contextlib.suppress(BrokenPipeError):
            while not ended:
                ended = process.poll() is not None
                self.wfile.write(log.read())
                self.wfile.flush()
                time.sleep(0.1)

    def _refuse(self, status: int, message: str) -> None:
        self._answer({"kind": "Status", "message": message, "code": status}, status)

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        self.cluster.requests.append(f"{self.command} {self.path} {status}")
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
