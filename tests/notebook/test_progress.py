"""Progress in a real kernel: what stands under the cell in the end, which a saved notebook keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kernel import running_kernel

ROOT = Path(__file__).resolve().parents[2]
WORK = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from openmic.notebook.progress import NotebookProgress
progress = NotebookProgress()
for percent in range(0, 101, 10):
    progress("Downloading base", percent / 100)
    time.sleep(0.05)
progress("Warming up", None)
progress.close()
"""


@pytest.mark.slow
def test_a_saved_notebook_keeps_what_was_done(tmp_path: Path) -> None:
    with running_kernel(tmp_path) as kernel:
        cell = kernel.run(WORK)
    assert cell.status == "ok", cell.text
    (shown,) = cell.seen  # one display, replaced as the work went on; no widget, which a file does not hold
    assert shown["data"] == {
        "text/html": "<div>✓ Downloading base</div><div>Warming up</div>",
        "text/plain": "✓ Downloading base\nWarming up",
    }
