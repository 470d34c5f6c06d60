"""The address /drift; its room is pages/drift."""

from pages.drift.page import main
from pages.shared import frame

frame.show("drift", main)
