"""One trial, in the test's own process; test_live.py has those that NNI starts."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from nasengine.errors import ConfigError, StoreError, ViewError
from nasengine.evaluation.table import read_table
from nasengine.graph import cost
from nasengine.integrations.nni.genes import flat_genes
from nasengine.integrations.nni.trial import Trial
from nasengine.integrations.nni.trial_channel import TrialChannel
from nasengine.integrations.nni.trial_file import Measured, key_of
from search_spaces.nasbench201 import NASBENCH201
from tests.integrations.nni.trial_runs import begun, settings_of_trials, write_table

TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
GENES = flat_genes(NASBENCH201, NASBENCH201.parse(TEXT))


def test_a_trial_looks_up_its_accuracy_and_works_out_its_costs(tmp_path):
    table = write_table(tmp_path / "table.csv.gz")
    search = begun(tmp_path / "run", settings_of_trials(table))
    result = Trial(tmp_path / "run", GENES, lambda values: None).run()
    network = cost(NASBENCH201.to_graph(NASBENCH201.parse(TEXT), search.architecture_search.final_config))
    accuracy = read_table(table, NASBENCH201).accuracies[TEXT]
    assert result == {
        "default": accuracy, "macs": network.macs, "params": network.num_parameters,
        "peak_bytes": network.peak_activation_bytes,
    }  # fmt: skip


def test_architectures_that_the_table_lacks_fail(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("arch,a\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,0.5\n")
    begun(tmp_path / "run", settings_of_trials(table))
    with pytest.raises(ConfigError, match="expected a row for .nor_conv_3x3"):
        Trial(tmp_path / "run", GENES, lambda values: None).run()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trial that trains for three epochs: the run's folder, its result, and what it reported."""
    folder, reported = tmp_path_factory.mktemp("trained") / "run", []
    begun(folder, settings_of_trials(epochs=3))
    trial = Trial(folder, GENES, reported.append)
    return folder, trial.run(), reported, trial.file


def test_a_trial_reports_every_epoch(trained):
    _, result, reported, file = trained
    assert len(reported) == 3
    assert reported[-1]["default"] == result["default"] > 0.2  # chance is 0.1
    assert reported[0]["loss"] > reported[2]["loss"]
    measured = file.read()
    assert (measured.epochs, measured.final, measured.failure) == (reported, result, None)


def test_a_known_result_is_reported_and_not_computed_again(trained):
    folder, result, reported, file = trained
    before, again, begin = file.path.stat().st_mtime_ns, [], time.monotonic()
    assert Trial(folder, GENES, again.append).run() == result
    assert again == reported
    assert file.path.stat().st_mtime_ns == before
    assert time.monotonic() - begin < 5


def test_training_again_gives_the_same_bits(trained):
    folder, result, _, file = trained
    kept = file.path.read_bytes()
    file.path.write_bytes(kept[:50])  # torn: as if there were none
    assert Trial(folder, GENES, lambda values: None).run() == result
    assert Measured.model_validate_json(kept).final == file.read().final


def test_other_images_are_refused(tmp_path):
    folder = tmp_path / "run"
    begun(folder, settings_of_trials())
    journal = folder / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    changed = [line | {"fingerprint": "0"} if line["event"] == "data" else line for line in lines]
    journal.write_text("".join(json.dumps(line) + "\n" for line in changed))
    with pytest.raises(StoreError, match="expected the images that the run began with"):
        Trial(folder, GENES, lambda values: None).run()


def test_results_are_known_by_architecture_configuration_and_seed():
    settings = settings_of_trials(count=3).model_dump(mode="json")
    key = key_of(settings, "images", TEXT)
    trials = settings["trials"]
    same = [settings | {"strategy": "pareto"}, settings | {"trials": trials | {"count": 9, "concurrency": 4}}]
    others = [settings | {"seed": 1}, settings | {"budget": "full"}, settings | {"trials": trials | {"epochs": 2}}]
    assert {key_of(one, "images", TEXT) for one in same} == {key}
    keys = {key_of(one, "images", TEXT) for one in others}
    assert len(keys | {key, key_of(settings, "others", TEXT), key_of(settings, "images", "x")}) == 6


class Server(BaseHTTPRequestHandler):
    """NNI's end of a trial's channel: asks once to wait, then gives parameters."""

    def do_PUT(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.append((self.path, self.headers["X-NasEngine-Secret"], content))
        self.send_response(200 if self.headers["X-NasEngine-Secret"] == "s" else 403)
        self.end_headers()

    def do_GET(self):
        self.server.num_asked += 1
        self.send_response(408 if self.server.num_asked == 1 else 200)
        self.end_headers()
        record = json.dumps({"parameter_id": 5, "parameters": {"a": "b"}})
        self.wfile.write(json.dumps({"type": "parameter", "parameter": record}).encode())

    def log_message(self, *values):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Server) as found:
        found.told, found.num_asked = [], 0
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def environment(server, secret="s"):
    url = f"http://localhost:{server.server_port}/env/local-env/trial-5"
    return {"NNI_TRIAL_COMMAND_CHANNEL": url, "NASENGINE_SECRET": secret, "NNI_TRIAL_JOB_ID": "trial-5"}


def test_the_channel_speaks_as_nni_does(server):
    channel = TrialChannel(environment(server))
    assert channel.genes() == {"a": "b"}
    channel.intermediate({"default": 0.25})
    channel.intermediate({"default": 0.5})
    channel.final({"default": 0.5, "macs": 7.0})
    assert {(path, secret) for path, secret, _ in server.told} == {("/env/local-env/trial-5", "s")}
    metrics = [json.loads(content["metric"]) for _, _, content in server.told[1:]]
    assert server.told[0][2] == {"type": "request_parameter"}
    assert [(one["type"], one["sequence"], one["parameter_id"]) for one in metrics] == [
        ("PERIODICAL", 0, 5), ("PERIODICAL", 1, 5), ("FINAL", 0, 5),
    ]  # fmt: skip
    assert json.loads(metrics[2]["value"]) == {"default": 0.5, "macs": 7.0}


def test_channels_that_are_not_ours_are_refused(server):
    with pytest.raises(ViewError, match="expected NNI's server to listen, got 403"):
        TrialChannel(environment(server, "guess")).genes()
    with pytest.raises(ViewError, match="expected to be started by 'nasengine nni'"):
        TrialChannel({})


WATCHED = "import sys, time; from nasengine.integrations.nni.watch import end_with_parent; end_with_parent({}); {}"


def test_a_process_ends_with_its_parent():
    code = WATCHED.format("", "print(1, flush=True); time.sleep(60)")
    middle = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {code!r}])\nprint(child.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    with parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "1\n"  # it watches
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()


def test_a_process_that_takes_too_long_ends_with_last_words():
    code = WATCHED.format("lambda: print('late', flush=True), 0.5", "time.sleep(60)")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "late\n", "ended after 0.5 s\n")
