"""The address /weights; its room is pages/weights/."""

from pages.shared import frame
from pages.weights.page import main

frame.show("weights", main)
