"""The true line and the true holder of a planted leak come first."""

from __future__ import annotations

import planted
import pytest

# One of each kind; all of them are scored by ``python -m benchmarks.attribution``.
PLANTS = (
    "app_factory",
    "app_state",
    "callbacks",
    "class_tasks",
    "closure_list",
    "context_value",
    "default_argument",
    "default_dict",
    "exceptions_kept",
    "kept_documents",
    "linked_nodes",
    "rebound_text",
    "tenants",
    "weak_values",
    "worker_local",
)


@pytest.mark.parametrize("name", PLANTS)
def test_names_the_line_and_the_holder(name: str) -> None:
    lines, holders = planted.expected(name)
    explanation = planted.explain_plant(name)
    assert explanation.top_line in lines
    assert explanation.top_holder in holders
    assert not [note for note in explanation.notes if "failed" in note]


def test_says_rate_type_and_owner_of_the_holder() -> None:
    explanation = planted.explain_plant("app_state")
    holder = next(finding for finding in explanation.findings if finding.kind == "holder")
    assert holder.summary == "app_state.app.state.seen (list, app) grows by 1 entry per request"
    assert any(detail.startswith("of type dict, about") for detail in holder.details)


def test_gives_the_line_its_text_and_its_share() -> None:
    explanation = planted.explain_plant("kept_documents")
    line = next(finding for finding in explanation.findings if finding.kind == "allocation")
    assert line.path is not None
    assert line.path.endswith("kept_documents.py")
    assert line.line == 13
    assert line.details[0] == "DOCUMENTS.append(json.loads(TEXT))  # LEAK"
    assert any("json" in detail and "(Python)" in detail for detail in line.details)


@pytest.mark.parametrize("name", ["default_dict", "class_tasks"])
def test_gives_the_same_answer_in_every_process(name: str) -> None:
    first = planted.in_fresh_process(name, hash_seed="1")
    second = planted.in_fresh_process(name, hash_seed="2")
    for key in ("top_line", "top_holder", "holders"):
        assert first[key] == second[key]


def test_never_prints_what_only_the_data_says() -> None:
    explanation = planted.explain_plant("default_dict")  # its keys are "secret-0", "secret-1", …
    text = repr(explanation).replace(planted.__file__, "")
    source = (planted.PLANTS / "default_dict.py").read_text()
    assert "secret-" in source
    assert "secret-0" not in text
    assert explanation.top_holder == "default_dict.BY_USER[...]"
