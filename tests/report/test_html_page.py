"""The page of a run, read by a strict parser."""

import dataclasses
import itertools
import random
import re

import pytest

from nasengine.errors import StoreError
from nasengine.report.html_page import SECTIONS, page_of, write_page
from nasengine.report.run_reading import read_run
from search_spaces.nasbench201 import NASBENCH201
from tests.report.page_parser import parsed, rows_of

HOSTILE = "\"><script>alert('x')</script><img src=http://evil.test/x onerror=alert(1)>&amp;$x^2$"


def titles(page):
    return [section.attributes["id"] for section in page.all("section")]


def tree(content):
    return parsed(page_of(content, NASBENCH201))


def test_a_page_has_all_parts_and_no_faults(whole_text):
    page = parsed(whole_text)
    assert titles(page) == [name for name, _, _ in SECTIONS if name != "weights"]
    assert [found.text for found in page.every() if found.attributes.get("class") == "fault"] == []
    links = [link.attributes["href"] for link in page.all("nav")[0].all("a")]
    assert links == [f"#{name}" for name in titles(page)]


def test_pages_load_nothing_and_run_nothing(whole_text):
    text, page = whole_text, parsed(whole_text)
    assert not {found.tag for found in page.every()} & {"script", "link", "iframe", "object", "embed", "img", "base"}
    for found in page.every():
        for name, value in found.attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("#", "data:"))
    assert all(place.startswith("#") for place in re.findall(r"url\(\s*['\"]?([^)]*)", text))
    assert "@import" not in text
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta.attributes)
    assert "default-src 'none'" in policy.attributes["content"]


def test_pages_can_be_read_by_everyone(whole_text):
    page = parsed(whole_text)
    assert page.all("html")[0].attributes["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        meta.attributes for meta in page.all("meta")
    ]
    headings = [int(found.tag[1]) for found in page.every() if re.fullmatch("h[1-6]", found.tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))
    assert all(cell.attributes["scope"] == "col" for cell in page.all("th"))
    assert all(found.all("caption") for found in page.all("table"))
    for picture in page.all("svg"):
        title = picture.children[0]
        assert title.tag == "title"
        assert picture.attributes["aria-labelledby"] == title.attributes["id"]
        assert len(title.text) > 20


def test_ids_are_unique_and_all_references_lead_somewhere(whole_text):
    text, page = whole_text, parsed(whole_text)
    names = [found.attributes["id"] for found in page.every() if "id" in found.attributes]
    assert len(names) == len(set(names))
    used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
    assert set(used) <= set(names)


def test_every_picture_has_its_numbers_under_it(whole_text):
    page = parsed(whole_text)
    figures = page.all("figure")
    assert len(figures) == len(page.all("svg")) >= 12
    for figure in figures:
        order = [found.tag for found in figure.every() if found.tag in ("svg", "table", "details")]
        assert order[:3] == ["svg", "details", "table"]
        assert figure.all("tbody")[0].all("tr")


def test_tables_have_a_row_for_each_point(sampled_content, whole, whole_text):
    page, summary, events = parsed(whole_text), whole.summary, whole.events
    steps = [event for event in sampled_content.events if event["event"] == "step"]
    paths = [event["metrics"]["accuracy"] for event in steps if event["task"].startswith("selection")]
    assert [float(row[3]) for row in rows_of(page, "paths")] == pytest.approx(paths, abs=1e-4)
    assert [float(row[4]) for row in rows_of(page, "paths")][-1] == pytest.approx(max(paths), abs=1e-4)
    final = [event for event in steps if event["task"] in ("winner", "random_baseline")]
    assert len(rows_of(page, "lossfinal")) == len(final)
    measured = [event["validation_accuracy"] for event in events if event["event"] == "round"]
    assert len(rows_of(page, "race")) == sum(map(len, measured))
    assert len(rows_of(page, "matrix0")) == 5 * 4 / 2
    assert len(rows_of(page, "leaves")) == len(summary["leaves"])
    assert len(rows_of(page, "front")) == len(summary["target"]["trade_offs"]["points"])
    assert [row[0] for row in rows_of(page, "limits")] == ["latency"]
    assert len(rows_of(page, "predicted")) == len(summary["prediction"]["finalists"])
    assert len(rows_of(page, "family")) == 3
    assert [row[1] for row in rows_of(page, "within")] == ["-", "100,000,000", "1,000,000,000"]
    assert len(rows_of(page, "cell0")) == 6
    decisions = [d for event in events for d in event.get("metrics", {}).get("decisions", [])]
    drops = sum(len(d["damage_without"]) for d in decisions)
    assert sum(len(rows_of(page, f"drops{place}")) for place in (0, 1)) == drops > 0


def test_architecture_weights_are_shown_over_time(perturbed_content):
    rows = rows_of(tree(perturbed_content), "weights0")
    assert len(rows) == 6 * 3  # edges and epochs
    assert [row[1] for row in rows[:3]] == ["1", "2", "3"]
    assert all(sum(float(cell) for cell in row[2:]) == pytest.approx(1.0, abs=1e-3) for row in rows)


def test_calibration_counts_pairs_in_the_measured_order(whole, whole_text):
    # The first of the finalists is predicted best and measured worst; the others are predicted equal.
    (row,) = rows_of(parsed(whole_text), "calibration")
    others = len(whole.summary["prediction"]["finalists"]) - 1
    assert row[2:] == ["0", str(others)]
    assert float(row[1]) == pytest.approx(0.9615, abs=1e-4)  # Phi(0.5 / sqrt(0.08)), from a table


def test_accuracies_with_shared_weights_are_called_so(whole_text):
    page = parsed(whole_text)
    said = {figure.all("title")[0].attributes["id"]: figure.text for figure in page.all("figure")}
    assert "weights shared in the supernet" in said["paths-words"]
    assert "weights shared in the supernet" in said["front-words"]
    assert "weights come from the supernets" in said["race-words"]


def hostile(value):
    """Every text of a summary made hostile, but those that say what is what."""
    if isinstance(value, dict):
        return {name: hostile(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return value + HOSTILE if isinstance(value, str) else value


@pytest.mark.slow
def test_texts_of_a_run_stay_texts(whole):
    events = tuple({**event, "metrics": hostile(event.get("metrics", {}))} for event in whole.events)
    settings = {**whole.settings, "data": HOSTILE, "target": HOSTILE}
    summary = hostile(whole.summary)
    summary["winner"]["genotype"] = whole.summary["winner"]["genotype"]
    summary["target"]["trade_offs"]["objectives"] = whole.summary["target"]["trade_offs"]["objectives"]
    summary["failed_leaves"] = {HOSTILE: HOSTILE}
    content = dataclasses.replace(
        whole, events=({**events[0], "settings": settings}, *events[1:]), summary=summary,
        family=hostile(whole.family), card=hostile(whole.card), faults=(HOSTILE,),
    )  # fmt: skip
    page = tree(content)
    assert not {found.tag for found in page.every()} & {"script", "img"}
    assert not any(name.startswith("on") for found in page.every() for name in found.attributes)
    assert "evil.test" in page.text
    assert page.text.count("<script>") > 30
    assert len(page.all("svg")) >= 8


@pytest.mark.slow
def test_strangers_genotypes_do_not_end_the_page(whole):
    summary = {**whole.summary, "winner": {**whole.summary["winner"], "genotype": HOSTILE}}
    page = tree(dataclasses.replace(whole, summary=summary))
    faults = [found.text for found in page.every() if found.attributes.get("class") == "fault"]
    assert any("The winner's cells: the run folder does not hold what is expected here" in text for text in faults)
    assert "training" in titles(page)


@pytest.mark.parametrize("name", ["winner", "settings", "data", "leaves", "splits", "target", "prediction"])
@pytest.mark.parametrize("value", [None, 7, "text", [1], {"a": []}], ids=repr)
def test_pages_of_damaged_summaries_are_still_written(bare, name, value):
    summary = {"winner": {}, "random_baseline": {}, "data": {}, "seconds": 1.0, name: value}
    page = tree(dataclasses.replace(bare(), summary=summary))
    assert titles(page)[0] == "outcome"
    assert titles(page)[-1] == "origin"


def test_a_run_that_has_just_begun_has_few_parts(bare):
    page = tree(bare())
    assert titles(page) == ["outcome", "origin"]
    assert page.all("svg") == []
    assert "This search is not finished: no step is done yet" in page.text
    assert "nasengine search --resume" in page.text


def test_a_run_that_stopped_says_why_until_it_goes_on(bare):
    step = {"event": "step", "task": "supernet", "metrics": {"loss": 2.0}, "seconds": 3.0}
    stopped = {"event": "stopped", "reason": "interrupted"}
    text = tree(bare(step, stopped)).text
    assert "This search stopped before its end: interrupted" in text
    assert "supernet has 1 steps done, after 3 s of work" in text
    assert "is not finished: supernet has 2 steps" in tree(bare(step, stopped, step)).text


@pytest.mark.slow
def test_long_runs_are_cut_and_the_page_says_so(bare):
    rng = random.Random(0)
    steps = [
        {"event": "step", "task": "selection", "seconds": 1.0, "metrics": {
            "genotype": NASBENCH201.format(NASBENCH201.sample(rng)), "accuracy": rng.random()}}
        for _ in range(5000)
    ]  # fmt: skip
    losses = [{"event": "step", "task": "winner", "metrics": {"loss": rng.random()}} for _ in range(5000)]
    text = page_of(bare(*steps, *losses), NASBENCH201)
    page = parsed(text)
    assert len(rows_of(page, "paths")) == 400
    assert "The first 400 of 5,000 measurements are shown." in page.text
    assert len(rows_of(page, "lossfinal")) == 120
    assert "Epochs are shown at most 120 a network" in page.text
    assert len(text.encode()) < 1_500_000


@pytest.mark.slow
def test_the_same_run_gives_the_same_page(whole, whole_text, sampled, tmp_path):
    assert page_of(whole, NASBENCH201) == whole_text
    content = read_run(sampled)
    for name in ("first.html", "second.html"):
        write_page(content, NASBENCH201, tmp_path / name)
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.html", "second.html"]


def test_without_its_space_a_run_has_a_page_without_cells(sampled_content):
    page = parsed(page_of(sampled_content, None))
    assert "The search space nasbench201 is not installed here" in page.text
    assert "level 1, part 0: cell edge " in page.text
    assert [found for found in page.every() if found.attributes.get("class") == "fault"] == []


def test_pages_are_small_enough_to_be_sent(whole_text):
    assert len(whole_text.encode()) < 1_500_000


def test_pages_need_a_folder(bare, tmp_path):
    with pytest.raises(StoreError, match=r"expected a file name in a folder that is there, got .*missing"):
        write_page(bare(), None, tmp_path / "missing" / "page.html")
    with pytest.raises(StoreError, match="expected a file name, got a folder"):
        write_page(bare(), None, tmp_path)
