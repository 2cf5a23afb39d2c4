"""What is not ours is what VENDORED.md says it is."""

import hashlib
import re
from pathlib import Path

import receiver.admin

STATIC = Path(receiver.admin.__file__).parent / "static"
OURS = {"VENDORED.md", "icon.svg", "receiver.css"}
ROW = re.compile(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", re.MULTILINE)


def test_every_vendored_file_is_named_with_its_digest():
    named = dict(ROW.findall((STATIC / "VENDORED.md").read_text()))

    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in STATIC.iterdir()}
    assert {name: digest for name, digest in found.items() if name not in OURS} == named
