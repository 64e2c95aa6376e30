"""What NNI runs as its tuner: our strategies behind the messages of NNI's server.

NNI starts ``python -m nni``, which makes an object of the class here. It is what NNI calls an advisor, tuner and
assessor in one, since only these hear whether a trial failed or was stopped early, and give parameters their numbers.
Messages are worked on in the order in which they come: what a trial measured is told before the next is asked for.
"""

import json
import os
from pathlib import Path
from typing import Any

from nni.runtime.msg_dispatcher_base import MsgDispatcherBase
from nni.runtime.tuner_command_channel import CommandType

from nasengine.integrations.nni.genes import flat_genes
from nasengine.integrations.nni.live import STAGE
from nasengine.integrations.nni.median_stop import MedianStop
from nasengine.integrations.nni.proposals import Proposals
from nasengine.integrations.nni.watch import end_with_parent


class TrialDispatcher(MsgDispatcherBase):
    """Proposes trials and takes note of how they end.

    Args:
        run: folder of the run, which this process alone writes to while the experiment goes on.
    """

    def __init__(self, run: str) -> None:
        end_with_parent()
        secret = os.environ["NASENGINE_SECRET"]
        super().__init__(f"{os.environ['NNI_TUNER_COMMAND_CHANNEL']}?secret={secret}")
        self.run_folder = Path(run)
        self._proposals: Proposals | None = None
        self._rule: MedianStop | None = None
        self._on_the_way: dict[int, list[float]] = {}

    @property
    def proposals(self) -> Proposals:
        """Of the run; there from the first message on."""
        assert self._proposals is not None
        return self._proposals

    def enqueue_command(self, command: CommandType, data: Any) -> None:
        """NNI works on messages in two threads; here they are worked on at once, and what fails ends the process."""
        self.process_command(command, data)

    def handle_initialize(self, data: Any) -> None:
        """Put the strategy where the journal says it was."""
        from nasengine.integrations.nni.opening import opened_proposals

        self._proposals = opened_proposals(self.run_folder)
        if self._proposals.store.settings["trials"]["stop_early"]:
            self._rule = MedianStop()
            for result in self._proposals.results.values():
                if result.status == "SUCCEEDED":
                    self._rule.add([values["default"] for values in result.epochs])
        self.send(CommandType.Initialized, "")

    def handle_request_trial_jobs(self, data: int) -> None:
        """Propose as many trials as are asked for, while there are any."""
        for _ in range(data):
            proposal = self.proposals.next()
            if proposal is None:
                self.send(CommandType.NoMoreTrialJobs, json.dumps({"parameter_id": 0, "parameters": ""}))
                return
            genes = flat_genes(self.proposals.space, proposal.architecture)
            content = {
                "parameter_id": proposal.number, "parameter_source": "algorithm", "parameter_index": 0,
                "parameters": {"stage": STAGE, **genes},
            }  # fmt: skip
            self.send(CommandType.NewTrialJob, json.dumps(content))

    def handle_report_metric_data(self, data: dict[str, Any]) -> None:
        """A result on the way may end the trial; results themselves are taken from the trial's file."""
        if self._rule is None or data.get("type") != "PERIODICAL" or data["parameter_id"] in self.proposals.results:
            return
        values = self._on_the_way.setdefault(data["parameter_id"], [])
        values.append(float(json.loads(data["value"])["default"]))
        if self._rule.is_poor(values):
            self.send(CommandType.KillTrialJob, json.dumps(data["trial_job_id"]))

    def handle_trial_end(self, data: dict[str, Any]) -> None:
        """Record how a trial ended."""
        number = json.loads(data["hyper_params"])["parameter_id"]
        result = self.proposals.finish(number, data["event"])
        if self._rule is not None and result.status == "SUCCEEDED":
            self._rule.add([values["default"] for values in result.epochs])

    def handle_import_data(self, data: Any) -> None:
        """NNI tells what its database holds when it goes on; the journal knows it already."""

    def handle_add_customized_trial(self, data: Any) -> None:
        """NNI tells which trials it had begun; the journal knows them already."""

    def handle_update_search_space(self, data: Any) -> None:
        """The space is that of the run."""
