"""The address /trial; its room is pages/trial/."""

from pages.shared import frame
from pages.trial.page import main

frame.show("trial", main)
