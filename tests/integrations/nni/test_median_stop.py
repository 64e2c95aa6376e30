"""Numbers worked out by hand from the rule."""

from nasengine.integrations.nni.median_stop import MedianStop


def rule_after(*trials):
    rule = MedianStop()
    for values in trials:
        rule.add(values)
    return rule


def test_a_trial_is_compared_with_running_averages_at_its_step():
    rule = rule_after([0.2, 0.4, 0.9], [0.4, 0.6, 0.9], [0.6, 0.8, 0.9])  # averages at step 2: 0.3, 0.5, 0.7
    assert rule.is_poor([0.1, 0.49])
    assert not rule.is_poor([0.1, 0.5])
    assert not rule.is_poor([0.5, 0.1])  # its best counts


def test_nothing_is_poor_too_early():
    rule = rule_after([0.9, 0.9], [0.9, 0.9])
    assert not rule.is_poor([0.0, 0.0])  # too few trials
    rule.add([0.9])
    assert not rule.is_poor([0.0, 0.0])  # the third ended before this step
    rule.add([0.9, 0.9])
    assert not rule.is_poor([0.0])  # the first step
    assert rule.is_poor([0.0, 0.0])
