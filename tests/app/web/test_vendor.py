"""three.js is the file that was vendored, its licence beside it, and the page's modules are in the package."""

from __future__ import annotations

import hashlib
import re

from poseglot.app.web.server import STATIC
from tests.conftest import ROOT

VENDOR = STATIC / "vendor"


def test_three_is_what_the_script_made() -> None:
    noted = (VENDOR / "VERSIONS").read_text()
    assert hashlib.sha256((VENDOR / "three.min.js").read_bytes()).hexdigest() in noted
    version = re.search(r"^three=(.+)$", (ROOT / "scripts" / "vendor_three.sh").read_text(), re.M)
    assert version is not None and f"three {version[1]} " in noted
    assert "MIT License" in (VENDOR / "three.LICENSE").read_text()


def test_what_the_page_takes_of_three_is_bundled() -> None:
    used = set(re.findall(r"THREE\.(\w+)", (STATIC / "scene.js").read_text()))
    exported = re.search(r"export\{([^}]*)\};?\s*$", (VENDOR / "three.min.js").read_text().rstrip())
    assert exported is not None
    assert used <= {name.split(" as ")[-1] for name in exported[1].split(",")}


def test_parts_have_the_reports_colours() -> None:
    from poseglot.colors import PART_COLORS

    page = (STATIC / "page.js").read_text()
    for part, color in PART_COLORS.items():
        assert f'{part}: "{color}"' in page
