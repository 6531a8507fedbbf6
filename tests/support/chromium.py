"""Headless Chromium, if it is installed: screenshots of a page, and accessibility checks by axe.

The page allows no script, so axe runs on a copy whose policy is taken out and into which it is written; the copy's
marks and style sheet are the page's own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1",
)  # fmt: skip
_RUN = """
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(found => {
  const said = found.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html, v.nodes[0].failureSummary]);
  document.body.textContent = "AXE" + JSON.stringify({passes: found.passes.length, violations: said}) + "EXA";
});
"""


def browser() -> str:
    """The browser's command; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here")
    return found


def screenshot(page: Path, to: Path, width: int, height: int, *, dark: bool = False) -> Path:
    """Take a screenshot of a page at a width."""
    scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    _chromium(to.parent, *scheme, f"--window-size={width},{height}", f"--screenshot={to}", page.as_uri())
    return to


def dumped(page: Path, folder: Path, width: int, *, dark: bool = False, query: str = "") -> str:
    """Return the marks of a page after its own script has run; `query` follows the `#` of its address."""
    address = page.as_uri() + (f"#{query}" if query else "")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    return _chromium(
        folder, scheme, f"--window-size={width},2000", "--virtual-time-budget=20000", "--dump-dom", address
    )


def axe(html: str, folder: Path, width: int, *, dark: bool = False, query: str = "") -> dict:
    """Check a page for accessibility; returns how many rules passed and which were broken, where.

    `query` follows the `#` of the address of a page that has a script.
    """
    core = Path(pytest.importorskip("axe_core_python").__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    open_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    script = core.replace("</script", "<\\/script")
    copy = folder / "page.html"
    copy.write_text(open_policy.replace("</body>", f"<script>{script}</script><script>{_RUN}</script></body>"))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dumped = _chromium(
        folder,
        scheme,
        f"--window-size={width},2000",
        "--virtual-time-budget=100000",
        "--dump-dom",
        copy.as_uri() + (f"#{query}" if query else ""),
    )
    said = re.search(r"AXE(\{.*\})EXA", dumped, re.DOTALL)
    assert said, dumped[-500:]
    return json.loads(said[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def _chromium(folder: Path, *arguments: str) -> str:
    # Chromium makes a socket in its temporary folder, and the path of a socket has at most 107 bytes.
    done = subprocess.run(
        [browser(), *_FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True, text=True, timeout=400, env={**os.environ, "TMPDIR": "/tmp"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
