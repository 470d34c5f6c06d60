"""The address /memory; its room is pages/memory/."""

from pages.memory.page import main
from pages.shared import frame

frame.show("memory", main)
