"""The address of a page; its room is the folder of the same name."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_suffix("") / "page.py"))
