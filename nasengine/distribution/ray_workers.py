"""Workers on a Ray cluster (Moritz et al., 2018, arXiv 1712.05889): Ray core alone, one actor for each worker.

Whoever reaches the ports of a Ray cluster can run code there, so that Ray's login by token is always on. A cluster of
our own serves no dashboard and sends no usage statistics; some of its ports listen on all addresses (Ray 2.60).
"""

import os
import queue
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from nasengine.distribution.dataset_message import dataset_message, read_dataset
from nasengine.distribution.dispatch import Dispatcher, WorkerDiedError
from nasengine.errors import ConfigError, DependencyError, WorkerError
from nasengine.pipeline import SearchSettings
from nasengine.pipeline.task import Progress
from nasengine.pipeline.workers import Work

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",  # off by default before 2.59
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do soon, and warns about until then
}
LOOPBACK = "127.0.0.1"
REACHABLE_SECONDS = 10.0


class Performer:
    """What runs on the cluster. A part runs in a thread and waits after each report until that is fetched."""

    def __init__(self, dataset: bytes) -> None:
        self._dataset = read_dataset(dataset)
        self._reports: queue.Queue[bytes | BaseException] = queue.Queue(maxsize=1)

    def begin(self, request: bytes) -> None:
        """Start on a part."""
        threading.Thread(target=self._perform, args=(request,), daemon=True).start()

    def next(self) -> bytes:
        """The next report."""
        found = self._reports.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _perform(self, request: bytes) -> None:
        from nasengine.distribution.performing import perform

        try:
            perform(request, self._reports.put, self._dataset)
        except Exception as fault:  # noqa: BLE001 (whatever it is, it belongs to the one who waits for a report)
            self._reports.put(fault)


class RayWorkers:
    """Implements the Workers protocol.

    Args:
        address: ``ray://HOST:PORT``; None starts a cluster on this machine and ends it after the work.
        count: of workers; None takes as many as the cluster has processors for.
        settings: of the run.
        progress: is told about every step.

    Raises:
        DependencyError: Ray is not installed.
        ConfigError: the environment switches Ray's login off.
        WorkerError: nothing answers at the address.
    """

    def __init__(self, address: str | None, count: int | None, settings: SearchSettings, progress: Progress) -> None:
        if os.environ.get("RAY_AUTH_MODE", "token") != "token":
            raise ConfigError(
                f"--workers: expected RAY_AUTH_MODE=token, got {os.environ['RAY_AUTH_MODE']!r}; without a login anyone "
                "who reaches the cluster can run code on it"
            )
        if address is not None:
            _check_reachable(address)
        os.environ.update(ENVIRONMENT)
        try:
            import ray
        except ImportError as fault:
            raise DependencyError("--workers ray: expected the package ray; pip install 'nasengine[ray]'") from fault
        self._ray = ray
        self.address, self.count, self.settings, self.progress = address, count, settings, progress
        self._depth = 0
        self._connection = ExitStack()
        self._dispatcher: Dispatcher | None = None

    def do(self, work: Work) -> None:
        """Do the parts on the cluster.

        Raises:
            WorkerError: the cluster cannot be reached, or see ``Dispatcher.do``.
        """
        with self.kept():
            if self._dispatcher is None:
                self._connect()
                self._connection.callback(self._ray.shutdown)
                self._dispatcher = self._make_dispatcher()
                self._connection.enter_context(self._dispatcher.kept())
            self._dispatcher.do(work)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A cluster that is connected in the block, and actors on it, stay until its end."""
        self._depth += 1
        with redirect_stdout(sys.stderr):  # Ray prints what happens to workers; stdout is for the outcome alone
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._dispatcher = None
                    self._connection.close()

    def _connect(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self.address is None:
            threads = self.settings.threads
            options |= {"num_cpus": (self.count or 1) * threads, "include_dashboard": False}
            options |= {"_node_ip_address": LOOPBACK}
        try:
            self._ray.init(self.address, **options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as fault:
            reason = str(fault).strip().splitlines()[0]
            raise WorkerError(
                f"--workers {self.address or 'ray'}: expected a Ray cluster that can be reached, got {reason}; see "
                "that it runs, that its token is in ~/.ray/auth_token, and that its version of Ray is "
                f"{self._ray.__version__}"
            ) from fault

    def _make_dispatcher(self) -> Dispatcher:
        from nasengine.assembly import load_images

        images = self._ray.put(dataset_message(load_images(self.settings)))
        threads, gpus = self.settings.threads, 1 if self.settings.device == "cuda" else 0
        count = self.count or max(1, int(self._ray.cluster_resources().get("CPU", 1)) // threads)
        remote = self._ray.remote(Performer).options(num_cpus=threads, num_gpus=gpus)
        return Dispatcher(lambda _: RayWorker(self._ray, remote.remote(images)), count, self.progress)


class RayWorker:
    """An actor on the cluster."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def begin(self, content: bytes) -> None:
        """Send a request."""
        self._get(self._actor.begin.remote(content))

    def next(self) -> bytes:
        """Wait for a report."""
        found: bytes = self._get(self._actor.next.remote())
        return found

    def close(self) -> None:
        """End the actor."""
        self._ray.kill(self._actor)

    def _get(self, promise: Any) -> Any:
        try:
            return self._ray.get(promise)
        except self._ray.exceptions.RayError as fault:
            raise WorkerDiedError(str(fault).strip().splitlines()[-1]) from fault


def _check_reachable(address: str) -> None:
    """Find out at once what Ray takes half a minute for, before anything is trained."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHABLE_SECONDS).close()
    except (OSError, OverflowError) as fault:
        raise WorkerError(
            f"--workers {address}: expected a Ray cluster that can be reached, got {fault}; see that it runs, and that "
            "its client server listens on this port"
        ) from fault
