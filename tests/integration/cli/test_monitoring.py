"""What monitoring is given: every alert and panel asks for something there is, and every alert is explained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from smearcount.cli.alerts import INBOX_RETIRED, SMALLEST_SAMPLE, broker_down, database_down
from smearcount.cli.settings import AlertSettings
from smearcount.db.delivery.destinations import register
from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry
from smearcount.db.liveness import ALERT_AFTER
from smearcount.web.settings import WebSettings

from support.serving import make_lab

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deployment" / "monitoring"
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
PROMETHEUS = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
#: What an alert's threshold is called in the settings, and what one of its unit is in the rule.
THRESHOLDS = {
    "SmearcountNothingSeen": ("alert_nothing_seen_hours", " * 3600"),
    "SmearcountOldestPending": ("alert_pending_minutes", " * 60"),
    "SmearcountDeliveryWaiting": ("alert_delivery_minutes", " * 60"),
    "SmearcountQuarantineRate": ("alert_quarantined_percent", ""),
    "SmearcountUnidentifiedRate": ("alert_unidentified_percent", ""),
}

_FUNCTIONS = {"time", "sum", "by", "and", "on", "rate", "scalar", "model", "version", "stage", "instance"}


def names_in(expression: str) -> set[str]:
    """Return the names of the metrics that an expression asks for."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", "", expression)
    return set(re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", bare)) - _FUNCTIONS


@pytest.fixture
def scraped(sqlite_database: Database, tmp_path: Path) -> dict[str, dict[str, set[str]]]:
    """Every metric of a scrape, and the values of each of its labels."""
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    lab.add_slide("S1", damaged=1)
    register(sqlite_database, {"lis": None})
    inbox_registry.note_watch(sqlite_database, lab.inbox_id, arriving=0, is_whole_scan=True)
    with lab.client() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    found: dict[str, dict[str, set[str]]] = {"up": {"job": {"smearcount"}}}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def panels() -> list[tuple[str, str]]:
    """Return the title and one expression of each panel."""
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_every_expression_asks_for_metrics_and_labels_that_there_are(scraped: dict[str, dict[str, set[str]]]) -> None:
    asked = [(alert, rule["expr"]) for alert, rule in RULES.items()] + panels()
    assert len(asked) > 20
    for what, expression in asked:
        names = names_in(expression)
        assert names, what
        assert names <= scraped.keys(), what
        for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selector):
                assert set(values.split("|")) <= scraped[name][label], what


def test_every_metric_is_documented_and_no_other(scraped: dict[str, dict[str, set[str]]]) -> None:
    ours = {name for name in scraped if name.startswith("smearcount_")}
    assert set(re.findall(r"`(smearcount_\w+)`", REFERENCE.split("## Monitoring")[1].split("\n## ")[0])) == ours


def test_every_alert_is_in_the_runbook_and_nothing_else_is() -> None:
    headings = re.findall(r"^## (Smearcount\w+)$", RUNBOOK, re.MULTILINE)
    assert headings == list(RULES)
    for alert, rule in RULES.items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{alert.lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}
        section = RUNBOOK.split(f"## {alert}\n")[1].split("\n## ")[0]
        for part in ("**It means**", "**Look**", "**Do**"):
            assert part in section, alert


def test_status_says_what_the_rules_say_and_from_the_same_figures_on() -> None:
    defaults = AlertSettings()
    assert {name for name, _ in THRESHOLDS.values()} == set(AlertSettings.model_fields)
    for alert, (name, unit) in THRESHOLDS.items():
        threshold = f"> {getattr(defaults, name):g}{unit}"
        assert re.search(rf"{re.escape(threshold)}(\s|$)", RULES[alert]["expr"]), alert
    for alert in ("SmearcountQuarantineRate", "SmearcountUnidentifiedRate"):
        assert f">= {SMALLEST_SAMPLE}" in RULES[alert]["expr"]
    silent, retired = ALERT_AFTER.total_seconds(), INBOX_RETIRED.total_seconds()
    assert f"> {silent:g}\n" in RULES["SmearcountWatcherDown"]["expr"].replace(" and", "\nand")
    assert f"< {retired / 86400:g} * 86400" in RULES["SmearcountWatcherDown"]["expr"]
    assert f"<= {silent:g}" in RULES["SmearcountNothingSeen"]["expr"]
    assert {one(ValueError()).name for one in (broker_down, database_down)} <= RULES.keys()


def test_prometheus_asks_the_web_server_with_a_token_from_a_file() -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    assert all((MONITORING / name).exists() for name in PROMETHEUS["rule_files"])
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": [f"web:{WebSettings().web_port}"]}]
    assert job["authorization"]["type"] == "Bearer"
    assert job["authorization"]["credentials_file"].startswith("/run/secrets/")
    assert 'up{job="smearcount"}' in RULES["SmearcountDown"]["expr"]
    assert job["job_name"] == "smearcount"


def test_the_dashboard_can_be_imported_as_it_is() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    (variable,) = DASHBOARD["templating"]["list"]
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == source
        assert [target["refId"] for target in panel["targets"]] == ["A", "B", "C", "D"][: len(panel["targets"])]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} covers another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
