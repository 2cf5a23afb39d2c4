"""The alert rules and the dashboard in `deploy/` ask for what there is."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from receiver.metrics import METRICS, Type
from tests.deploy.machine import DEPLOY, program
from tests.pages import ROOT

CASES = ROOT / "tests" / "deploy" / "prometheus-rules.test.yml"
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text("utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))

ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
LABELS = {metric.name: {*metric.labels, "instance", "le"} for metric in METRICS}


def known(name):
    """The metric that a series of this name belongs to."""
    histograms = {metric.name for metric in METRICS if metric.type is Type.HISTOGRAM}
    base = re.sub("_(bucket|sum|count)$", "", name)
    return base if base in histograms else name


def promtool(*arguments):
    command = [program("promtool", "prometheus"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def queries():
    return [
        *(pytest.param(rule["expr"], id=rule["alert"]) for rule in ALERTS),
        *(pytest.param(expression, id=title) for title, expression in QUERIES),
    ]


@pytest.mark.parametrize("expression", queries())
def test_asks_only_for_metrics_that_exist(expression):
    named = {known(name) for name in re.findall(r"\breceiver_\w+", expression)}

    assert named
    assert named <= set(LABELS)


@pytest.mark.parametrize("expression", queries())
def test_asks_only_for_labels_that_exist(expression):
    there = set[str]().union(*(LABELS[known(name)] for name in re.findall(r"\breceiver_\w+", expression)))
    grouped = {name for names in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for name in names.split(", ")}
    matched = set(re.findall(r'[{,]\s*(\w+)(?:=|!=|=~|!~)"', expression)) - {"job"}

    assert grouped | matched <= there


def test_prometheus_understands_the_rules_and_the_dashboard(tmp_path):
    expressions = [expression.replace("$__rate_interval", "5m") for _, expression in QUERIES]
    panels = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    dashboard = tmp_path / "dashboard.yml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": panels}]}))

    result = promtool("check", "rules", DEPLOY / "prometheus-rules.yml", dashboard)

    assert result.returncode == 0, result.stderr


def test_alerts_are_raised_when_they_should_be(tmp_path):
    for file in (DEPLOY / "prometheus-rules.yml", CASES):
        shutil.copy(file, tmp_path)

    result = promtool("test", "rules", tmp_path / CASES.name)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", [rule["alert"] for rule in ALERTS])
def test_every_alert_is_tested_both_ways(name):
    cases = [case for test in yaml.safe_load(CASES.read_text("utf-8"))["tests"] for case in test["alert_rule_test"]]

    assert {bool(case["exp_alerts"]) for case in cases if case["alertname"] == name} == {True, False}


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in ALERTS])
def test_a_rule_says_how_grave_it_is_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert re.search(r"[.?]$", rule["annotations"]["summary"])
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_rules_have_names_of_their_own():
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)


def test_the_dashboard_shows_every_metric():
    shown = {known(name) for _, expression in QUERIES for name in re.findall(r"\breceiver_\w+", expression)}

    assert shown == {metric.name for metric in METRICS}


def test_the_dashboard_has_no_two_panels_at_one_place():
    places = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + row)
        for panel in DASHBOARD["panels"]
        for column in range(panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["h"])
    ]

    assert len(places) == len(set(places))
