"""The address /layer_error; its room is pages/layer_error/."""

from pages.layer_error.page import main
from pages.shared import frame

frame.show("layer_error", main)
