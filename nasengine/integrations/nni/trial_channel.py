"""How a trial speaks to NNI's server: HTTP on 127.0.0.1, as NNI's own library does, with the secret of the experiment.

NNI's library takes seconds to import and cannot show a secret, so that trials do without it.
"""

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nasengine.errors import ViewError

ADDRESS, TIMEOUT_SECONDS = "127.0.0.1", 60.0
NOT_YET = 408


class TrialChannel:
    """The trial's end of the channel; all it needs is in the environment that NNI starts it with.

    Args:
        environment: variables of the process.

    Raises:
        ViewError: it was not started by an experiment.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        url, self._secret = environment.get("NNI_TRIAL_COMMAND_CHANNEL", ""), environment.get("NASENGINE_SECRET", "")
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.port is None or not self._secret:
            raise ViewError("trial: expected to be started by 'nasengine nni', which tells where to report; use that")
        self._port, self._path = parts.port, parts.path
        self.trial = environment.get("NNI_TRIAL_JOB_ID", "")
        self._parameter: Any = None
        self._num_intermediate = 0

    def genes(self) -> dict[str, Any]:
        """Ask which architecture this trial is of; once."""
        self._put({"type": "request_parameter"})
        status, content = NOT_YET, b""
        while status == NOT_YET:
            status, content = self._ask("GET", None)
        if status != http.client.OK:
            raise ViewError(f"trial {self.trial}: expected parameters of NNI's server, got status {status}")
        record = json.loads(json.loads(content)["parameter"])
        self._parameter = record["parameter_id"]
        return dict(record["parameters"])

    def intermediate(self, values: Mapping[str, float]) -> None:
        """Report a result on the way."""
        self._metric("PERIODICAL", self._num_intermediate, values)
        self._num_intermediate += 1

    def final(self, values: Mapping[str, float]) -> None:
        """Report the result."""
        self._metric("FINAL", 0, values)

    def _metric(self, kind: str, sequence: int, values: Mapping[str, float]) -> None:
        metric = {
            "parameter_id": self._parameter, "trial_job_id": self.trial, "type": kind, "sequence": sequence,
            "value": json.dumps(dict(values)),
        }  # fmt: skip
        self._put({"type": "metric", "metric": json.dumps(metric)})

    def _put(self, command: dict[str, Any]) -> None:
        status, content = self._ask("PUT", json.dumps(command))
        if status != http.client.OK:
            raise ViewError(f"trial {self.trial}: expected NNI's server to listen, got {status}: {content[:200]!r}")

    def _ask(self, method: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(ADDRESS, self._port, timeout=TIMEOUT_SECONDS)
        headers = {"X-NasEngine-Secret": self._secret, "Content-Type": "application/json"}
        try:
            connection.request(method, self._path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as fault:
            raise ViewError(f"trial {self.trial}: expected NNI's server on port {self._port}, got {fault}") from fault
        finally:
            connection.close()
