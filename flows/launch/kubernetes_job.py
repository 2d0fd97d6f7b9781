"""Starts a training Job in Kubernetes and follows it to its end: `python -m flows.launch.kubernetes_job MANIFEST`.

Notable:
- The flow runs this like any program: its output is that of the pods, its exit code is 0 where the Job completed.
  SIGTERM deletes the Job, whose pods then have their grace period to save a checkpoint.
- A Job is named after the model's folder and carries its manifest's digest. Where this process was killed, the next one
  finds the Job running and follows it on, or deletes it first if it was made from another manifest.
- The cluster is the one that kubectl would use, or, in a pod, its own.
"""

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.launch.follower import POLL_SECONDS, ClusterError, NoAnswer, StopRequest, run_follower, with_patience

_DIGEST = "sluice/manifest-digest"
_NOT_FOUND, _CONFLICT = 404, 409
_PERMANENT = frozenset({400, 401, 403, 422})
"""Answers that another try would get again."""


class Followed:
    """A Job, its Service and its pods, through the API of Kubernetes."""

    def __init__(self, manifest: Path) -> None:
        from kubernetes import client, config  # an extra: only this program needs it
        from urllib3.exceptions import HTTPError

        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config()
        else:
            config.load_kube_config()
        text = manifest.read_text(encoding="utf-8")
        self._service, self._job = json.loads(text)["items"]
        self._digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        self._job["metadata"]["annotations"] = {_DIGEST: self._digest}
        self.name, self._namespace = self._job["metadata"]["name"], self._job["metadata"]["namespace"]
        self._batch, self._core, self._error = client.BatchV1Api(), client.CoreV1Api(), client.ApiException
        self.broken_connection = (OSError, HTTPError)

    def start(self) -> None:
        """Create the Job, unless it is there and running."""
        with contextlib.suppress(_Missing):
            found = self.job()
            if found.metadata.annotations.get(_DIGEST) == self._digest and ended(found) is None:
                print(f"Job {self.name}: still there from an earlier run; following it on", flush=True)
                return
            print(f"Job {self.name}: deleting what an earlier run left", flush=True)
            self.delete()
            self.wait_until_gone()
        with contextlib.suppress(_Exists):
            self._call(self._core.create_namespaced_service, self._namespace, self._service)
        self._call(self._batch.create_namespaced_job, self._namespace, self._job)
        print(f"Job {self.name}: created in namespace {self._namespace}", flush=True)

    def job(self) -> Any:
        """Return the Job as it is; raises _Missing."""
        return self._call(self._batch.read_namespaced_job, self.name, self._namespace)

    def pods(self) -> list[Any]:
        """Return its pods, in order of their names."""
        found = self._call(self._core.list_namespaced_pod, self._namespace, label_selector=f"job-name={self.name}")
        return sorted(found.items, key=lambda pod: str(pod.metadata.name))

    def log(self, pod: str) -> Iterator[str]:
        """Yield the lines of a pod's log until it ends."""
        stream = self._call(
            self._core.read_namespaced_pod_log, pod, self._namespace, follow=True, _preload_content=False
        )
        rest = b""
        for piece in stream.stream(decode_content=True):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")

    def delete(self) -> None:
        """Delete Job, pods and Service; the pods get SIGTERM and their grace period."""
        # The answer is not read: it may be the object or a status, and the client knows only one of them.
        for delete in (self._batch.delete_namespaced_job, self._core.delete_namespaced_service):
            with contextlib.suppress(_Missing):
                self._call(delete, self.name, self._namespace, propagation_policy="Foreground", _preload_content=False)

    def wait_until_gone(self) -> None:
        """Return when the Job and so all its pods are gone."""
        with contextlib.suppress(_Missing):
            while self.job():
                time.sleep(POLL_SECONDS)

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call the API, for some minutes where it does not answer."""
        return with_patience(lambda: self._call_once(function, *arguments, **options))

    def _call_once(self, function: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except self._error as error:
            if error.status == _NOT_FOUND:
                raise _Missing from error
            if error.status == _CONFLICT:
                raise _Exists from error
            kind = ClusterError if error.status in _PERMANENT else NoAnswer
            raise kind(f"Kubernetes refused: {error.reason} ({error.status}): {_said(error)}") from error
        except self.broken_connection as error:
            raise NoAnswer(f"The API server of Kubernetes does not answer: {error}") from error


class _Missing(Exception):
    pass


class _Exists(Exception):
    pass


def follow(manifest: Path) -> int:
    """Run the Job to its end and return the exit code: 0 where it completed, 143 where it was cancelled."""
    stop, followed = StopRequest(), Followed(manifest)
    followed.start()
    readers: dict[str, threading.Thread] = {}
    seen: dict[str, str] = {}
    while True:
        try:
            job, pods = followed.job(), followed.pods()
        except _Missing:
            print(f"Job {followed.name}: deleted by somebody else", flush=True)
            return 1
        for pod in pods:
            _show(followed, pod, seen, readers)
        if (outcome := ended(job)) is not None or stop.asked:
            break
        stop.wait(POLL_SECONDS)
    if stop.asked:
        print(f"Job {followed.name}: deleting it", flush=True)
    else:
        for reader in readers.values():
            reader.join(timeout=POLL_SECONDS)
        print(f"Job {followed.name}: {outcome}", flush=True)
    followed.delete()
    followed.wait_until_gone()
    return stop.exit_code if stop.asked else int(outcome != "Complete")


def ended(job: Any) -> str | None:
    """Return how a Job ended, `Complete` or why it failed; None while it runs."""
    for condition in job.status.conditions or []:
        if condition.type in ("Complete", "Failed") and condition.status == "True":
            return "Complete" if condition.type == "Complete" else f"failed: {condition.reason} {condition.message}"
    return None


def _show(followed: Followed, pod: Any, seen: dict[str, str], readers: dict[str, threading.Thread]) -> None:
    name, phase = pod.metadata.name, pod.status.phase
    waiting = [status.state.waiting for status in pod.status.container_statuses or [] if status.state.waiting]
    unscheduled = [
        condition for condition in pod.status.conditions or [] if condition.status == "False" and condition.message
    ]
    reasons = [f"{entry.reason}: {entry.message}" for entry in (*waiting, *unscheduled) if entry.reason]
    sentence = f"Pod {name}: {phase}" + (f" ({'; '.join(reasons)})" if reasons and phase == "Pending" else "")
    if seen.get(name) != sentence:
        print(sentence, flush=True)
        seen[name] = sentence
    if phase != "Pending" and name not in readers:
        readers[name] = threading.Thread(target=_print_log, args=(followed, name), daemon=True)
        readers[name].start()


def _print_log(followed: Followed, pod: str) -> None:
    # However it breaks off: the Job's own state says how it went.
    with contextlib.suppress(_Missing, ClusterError, *followed.broken_connection):
        for line in followed.log(pod):
            print(line, flush=True)


def _said(error: Any) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(error.body)["message"])
    return str(error.body)[:500]


if __name__ == "__main__":
    sys.exit(run_follower(follow, sys.argv[1:]))
