"""The address /block; its room is pages/block/."""

from pages.block.page import main
from pages.shared import frame

frame.show("block", main)
