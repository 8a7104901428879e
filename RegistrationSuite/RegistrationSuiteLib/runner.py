"""A job in a worker process, bound to the scene: its result enters at once or not at all."""

from __future__ import annotations

from typing import Any

from regsuite.errors import InputError
from regsuite.jobs import Message, WorkerClient

from RegistrationSuiteLib import dependencies
from RegistrationSuiteLib.logic import Request
from RegistrationSuiteLib.scene.nodes import new_nodes


class JobRunner:
    """One job at a time. Nothing in the scene changes between :meth:`start` and the poll that brings the result."""

    def __init__(self, client: WorkerClient | None = None) -> None:
        self._client = client
        self._request: Request | None = None
        self.nodes: dict[str, Any] = {}
        """The nodes of the last result, by output name."""
        self.made: list[Any] = []
        """Every node that the last result added to the scene."""
        self.fixed: Any = None
        """What said where the fixed side of the last result lies, such as its image."""
        self.moving: Any = None
        """The same of its moving side."""

    @property
    def running(self) -> bool:
        """Whether a job was started and its end not yet polled."""
        return self._request is not None

    def warm_up(self) -> None:
        """Starts the worker, so that the first job finds it warm. InputError or JobFailed where that cannot be."""
        if not self.running:
            self._worker().start()

    def start(self, request: Request) -> None:
        """Converts the nodes and hands the job to the worker. InputError or JobFailed where that cannot be."""
        if self.running:
            raise InputError("A run has not ended: cancel it or wait for its end.")
        self._worker().submit(request.job())
        self._request = request

    def poll(self) -> list[Message]:
        """The news since the last poll, at once. A result is in the scene when its "done" is returned.

        A result that cannot enter the scene comes as "failed".
        """
        if self._request is None or self._client is None:
            return []
        return [self._settled(message) for message in self._client.poll()]

    def cancel(self) -> None:
        """Ends the job, if there is one, with the worker; nothing is left of it. The next one starts a new worker."""
        self._request = None
        if self._client is not None:
            self._client.cancel()

    def close(self) -> None:
        """Ends the job and the worker."""
        self._request = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def _worker(self) -> WorkerClient:
        if self._client is None:
            self._client = WorkerClient(dependencies.worker_python())
        return self._client

    def _settled(self, message: Message) -> Message:
        """The message, after what it means for the job was done."""
        if message.kind not in ("done", "failed"):
            return message
        request, self._request = self._request, None
        if message.kind == "done" and request is not None and message.result is not None:
            try:
                with new_nodes() as self.made:
                    self.nodes = request.add(message.result)
                self.fixed, self.moving = request.anchor("fixed"), request.anchor("moving")
            except InputError as error:
                return Message("failed", text=str(error))
        return message
