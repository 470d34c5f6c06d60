"""Files that visitors hand over: of a bounded size, and text where text is asked for."""

from typing import Protocol

MAX_MB = 16  # of any file, as in .streamlit/config.toml; what a page asks for is smaller


class Uploaded(Protocol):
    """What `st.file_uploader` returns, as far as it is used here."""

    name: str
    size: int

    def getvalue(self) -> bytes:
        """Return all of it."""


def text_of(file: Uploaded, max_bytes: int) -> str:
    """Return the text of a file; ValueError, before it is copied, for one that is too large."""
    if file.size > max_bytes:
        raise ValueError(
            f"{file.name} has {file.size:,} bytes; at most {max_bytes:,} are read of such a file."
        )
    try:
        return file.getvalue().decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{file.name} is not UTF-8 text.") from problem
