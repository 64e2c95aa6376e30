"""NNI's page in a real browser: what people see, and that the browser contacts nobody else."""

import pytest

from nasengine.integrations.nni import ExperimentDatabase, opened
from tests.browser import CHROMIUM, DRIVER, opened_browser
from tests.integrations.nni.runs import WrittenRun

pytest.importorskip("nni_node", reason="NNI has no wheel for this machine")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="chromium and chromedriver are not installed"),
]
TAB = "[...document.querySelectorAll('button[role=tab]')].find(tab => tab.innerText.endsWith('{}')).click()"
EXPAND = """[...document.querySelectorAll('.ms-DetailsRow')].find(row => row.innerText.includes('winner'))
    .querySelector('[data-icon-name=ChevronRight]').click()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with opened_browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The address of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    run = WrittenRun(folder / "run")
    run.do_everything()
    recording = run.recorded().read()
    database = ExperimentDatabase(folder, "run")
    database.write(recording)
    with opened(database, recording, 0) as shown:
        yield shown.url.removesuffix("/oview")
    database.close()


def test_the_overview_has_the_best_trials_on_top(browser, finished):
    browser.open(finished + "/oview")
    text = browser.wait_for(lambda text: "Default metric" in text and "winner" in text)
    trials = text[text.index("Default metric") :]
    order = [trials.index(name) for name in ("winner", "finalist-2", "finalist-1", "path-leaf0-1", "path-leaf0-0")]
    assert order == sorted(order)
    assert "0.900000\nBest metric" in text
    assert browser.errors() == []
    assert browser.hosts() == {finished.removeprefix("http://")}


def test_the_details_show_every_trial_and_its_genes(browser, finished):
    browser.open(finished + "/detail")
    text = browser.wait_for(lambda text: "0.9 (FINAL)" in text)
    assert "0.31 (LATEST)" in text
    assert (text.count("SUCCEEDED"), text.count("FAILED"), text.count("EARLY_STOPPED")) == (5, 2, 1)
    browser.run(EXPAND)
    expanded = browser.wait_for(lambda text: "stage:" in text)
    assert 'cell 0-1:"skip_connect"' in expanded
    assert browser.errors() == []


@pytest.mark.parametrize("tab", ["Default metric", "Hyper-parameter", "Duration", "Intermediate result"])
def test_every_plot_is_drawn_without_an_error(browser, finished, tab):
    browser.open(finished + "/detail")
    browser.wait_for(lambda text: "0.9 (FINAL)" in text)
    browser.run(TAB.format(tab))
    browser.wait_for(lambda text: browser.run("return document.querySelectorAll('canvas, svg path').length") > 0)
    assert browser.errors() == []
    assert browser.hosts() == {finished.removeprefix("http://")}


def test_the_list_of_experiments_has_this_one_alone(browser, finished):
    browser.open(finished + "/experiment")
    text = browser.wait_for(lambda text: "VIEWED" in text)
    assert text.count("VIEWED") == 1
    assert browser.errors() == []


def test_the_page_follows_a_run_by_itself(browser, tmp_path):
    run, database = WrittenRun(tmp_path / "run"), ExperimentDatabase(tmp_path, "run")
    run.sample_paths()
    recorded = run.recorded()
    recording = recorded.read()
    database.write(recording)
    with opened(database, recording, 0) as shown:
        browser.open(shown.url.removesuffix("oview") + "detail")
        browser.wait_for(lambda text: "path-leaf0-1" in text and "finalist-0" not in text)
        run.race()
        database.write(recorded.read())
        browser.wait_for(lambda text: "finalist-0" in text and "EARLY_STOPPED" in text)
        run.finish()
        database.write(recorded.read())
        browser.wait_for(lambda text: "0.9 (FINAL)" in text)
        assert browser.errors() == []
        browser.open(shown.url)
        browser.wait_for(lambda text: "VIEWED\nStatus" in text, 60.0)  # the page asks no more
        assert "0.900000\nBest metric" in browser.text()
        browser.open("about:blank")  # a page that has lost its server says so
    database.close()
    run.store.close()
