"""The address /file; its room is pages/file/."""

from pages.file.page import main
from pages.shared import frame

frame.show("file", main)
