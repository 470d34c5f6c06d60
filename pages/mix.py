"""The address /mix; its room is pages/mix/."""

from pages.mix.page import main
from pages.shared import frame

frame.show("mix", main)
