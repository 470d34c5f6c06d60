"""The address /home; its room is pages/home/."""

from pages.home.page import main
from pages.shared import frame

frame.show("home", main)
