"""The address /scales; its room is pages/scales/."""

from pages.scales.page import main
from pages.shared import frame

frame.show("scales", main)
