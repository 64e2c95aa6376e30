"""NNI's web page on runs of nasengine.

NNI 3.0 (https://github.com/microsoft/nni, MIT) is archived: what it does wrong is worked around here, see ``view``.
"""

from nasengine.integrations.nni.experiment_database import ExperimentDatabase
from nasengine.integrations.nni.recorded_run import RecordedRun, Recording
from nasengine.integrations.nni.server import View
from nasengine.integrations.nni.trials import Trial
from nasengine.integrations.nni.view import opened

__all__ = ["ExperimentDatabase", "RecordedRun", "Recording", "Trial", "View", "opened"]
