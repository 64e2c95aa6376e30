"""NNI's web page on runs of nasengine.

NNI 3.0 (https://github.com/microsoft/nni, MIT) is archived: what it does wrong is worked around here, see ``view``.
"""

from nasengine.integrations.nni.experiment_database import Experiment, follow_experiment, write_experiment
from nasengine.integrations.nni.trial_costs import TrialCosts
from nasengine.integrations.nni.trials import Trial, trials_of
from nasengine.integrations.nni.view import View, opened

__all__ = [
    "Experiment",
    "Trial",
    "TrialCosts",
    "View",
    "follow_experiment",
    "opened",
    "trials_of",
    "write_experiment",
]
