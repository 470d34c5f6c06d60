"""The address /sensitivity; its room is pages/sensitivity/."""

from pages.sensitivity.page import main
from pages.shared import frame

frame.show("sensitivity", main)
