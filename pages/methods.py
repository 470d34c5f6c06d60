"""The address /methods; its room is pages/methods/."""

from pages.methods.page import main
from pages.shared import frame

frame.show("methods", main)
