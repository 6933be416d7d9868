"""ONNX Runtime is loaded with its telemetry off."""

import os
import subprocess
import sys
from pathlib import Path

SILENCING = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "GITHUB_ACTIONS")


def test_loading_it_keeps_and_sends_nothing(tmp_path: Path) -> None:
    """With telemetry, loading leaves a session's number, a machine's and a queue of events."""
    own = ("TMPDIR", "HOME", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in SILENCING}
    words = [sys.executable, "-c", "import weft.nn.quantise.runtime"]
    subprocess.run(words, env=env | dict.fromkeys(own, str(tmp_path)), check=True)
    assert list(tmp_path.iterdir()) == []
