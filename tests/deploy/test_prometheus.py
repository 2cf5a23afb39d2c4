"""Prometheus reads the settings that the page about watching shows; what they lead to is in `tests/test_rules.py`."""

import shutil
import subprocess

from tests.deploy.machine import DEPLOY, program
from tests.pages import ROOT, Page

TOKEN = "/etc/prometheus/receiver-token"


def test_prometheus_understands_the_settings_on_the_page(tmp_path):
    [block] = Page(ROOT / "docs" / "operating.md").blocks("yaml")
    assert TOKEN in block.text
    (tmp_path / "receiver-token").write_text("token")
    (tmp_path / "prometheus.yml").write_text(block.text.replace(TOKEN, str(tmp_path / "receiver-token")))
    shutil.copy(DEPLOY / "prometheus-rules.yml", tmp_path)

    command = [program("promtool", "prometheus"), "check", "config", str(tmp_path / "prometheus.yml")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert result.returncode == 0, result.stderr
    assert "1 rule files found" in result.stdout
