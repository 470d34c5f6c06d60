"""The address /imatrix; its room is pages/imatrix."""

from pages.imatrix.page import main
from pages.shared import frame

frame.show("imatrix", main)
