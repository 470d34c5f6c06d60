"""Text to token numbers and back, by a Hugging Face tokenizer.json."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from quantcore.io import ModelError
from quantcore.io.strict_json import file_size, read_json_object
from quantcore.model.normalizing import differences

MAX_BYTES = 64 * 2**20  # the largest in use has 33 MB
MARGIN = 256  # tokens that are read beyond those that are wanted
LETTERS_A_TOKEN = 6  # of a usual text, or fewer


class Tokenizer:
    """What the lab needs of a tokenizer.

    Attributes
    ----------
    vocabulary_size : int
        One more than the largest token number.
    bos_id, eos_id : int or None
        Tokens that open and close a text.
    adds_bos : bool
        Whether a text is opened with `bos_id`.
    parses_special : bool
        Whether control tokens that a measured text writes out count as such. llama-perplexity
        reads them as any other characters; `parsing_special` returns a tokenizer that does not.
    """

    parses_special = False

    def __init__(self, text: str, settings: dict[str, Any]) -> None:
        """Take the text of a tokenizer.json, and what a tokenizer_config.json says."""
        with _one_sentence("tokenizer.json is not a tokenizer that can be read."):
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
            self._tokenizer.no_truncation()  # as transformers does, whatever the file says
            self._tokenizer.no_padding()
        self.vocabulary_size = 1 + max(self._tokenizer.get_vocab().values(), default=-1)
        if not self.vocabulary_size:
            raise ModelError("tokenizer.json has no tokens.")
        self.bos_id = self._special(settings.get("bos_token"))
        self.eos_id = self._special(settings.get("eos_token"))
        self.adds_bos = self._opens_with_bos(settings)
        self._pieces: dict[int, str] = {}
        self._made_of = text, settings

    def parsing_special(self) -> "Tokenizer":
        """Return one for which control tokens in a measured text are control tokens."""
        other = Tokenizer(*self._made_of)
        other.parses_special = True
        return other

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token numbers of a text, without those that open or close it."""
        return self.encode_with_starts(text)[0]

    def encode_with_starts(
        self, text: str, measured: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Token numbers, and the character of `text` at which each token starts.

        A prompt may write out control tokens; in a text that is `measured` they are characters,
        unless the tokenizer `parses_special`.
        """
        plain = measured and not self.parses_special and self.writes_control(text)
        encoding = self._encoded(text, self._plain if plain else self._tokenizer)
        starts = np.array([start for start, _ in encoding.offsets], np.int64)
        return np.array(encoding.ids, np.int32), starts

    def writes_control(self, text: str) -> bool:
        """Whether a text writes out a control token, such as ``<|endoftext|>``."""
        return any(token in text for token in self._control)

    def encode_start(
        self, text: str, at_most: int, measured: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the first tokens of a text, and where they start, without reading all of it.

        How a text is cut depends on what follows, but not on what is `MARGIN` tokens away.
        """
        length = LETTERS_A_TOKEN * (at_most + MARGIN)
        tokens, starts = self.encode_with_starts(text[:length], measured)
        while len(tokens) < at_most + MARGIN and length < len(text):
            length *= 2
            tokens, starts = self.encode_with_starts(text[:length], measured)
        return tokens[:at_most], starts[:at_most]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn tokens into text; tokens that only control the model show nothing."""
        return self._decoded([int(i) for i in ids], skip=True)

    def continuation(self, ids: Iterable[int]) -> str:
        """Turn tokens that go on a text into text: a space before the first word stays."""
        before = self._decoded(self._anchor, skip=True)
        both = [*self._anchor, *(int(i) for i in ids)]
        return self._decoded(both, skip=True)[len(before) :]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Show each token by itself; part of a character shows as a replacement sign."""
        return [self._piece(int(i)) for i in ids]

    def _piece(self, token: int) -> str:
        if token not in self._pieces:
            before = self._decoded(self._anchor, skip=False)
            both = self._decoded([*self._anchor, token], skip=False)
            self._pieces[token] = both[len(before) :]
        return self._pieces[token]

    @cached_property
    def _anchor(self) -> list[int]:
        """A token for others to be shown behind: SentencePiece drops the first space of a text."""
        return self._encoded("a").ids[:1]

    @cached_property
    def differences(self) -> list[str]:
        """What llama.cpp does otherwise to some texts, a sentence each."""
        parts = {
            "normalizer": self._tokenizer.normalizer,
            "pre_tokenizer": self._tokenizer.pre_tokenizer,
        }
        return differences(
            {part: json.loads(step.__getstate__()) for part, step in parts.items() if step}
        )

    @cached_property
    def _control(self) -> list[str]:
        added = self._tokenizer.get_added_tokens_decoder().values()
        return [token.content for token in added if token.special]

    @cached_property
    def _plain(self) -> tokenizers.Tokenizer:
        other = Tokenizer(*self._made_of)._tokenizer
        other.encode_special_tokens = True
        return other

    def _encoded(
        self, text: str, by: tokenizers.Tokenizer | None = None, special: bool = False
    ) -> tokenizers.Encoding:
        with _one_sentence("tokenizer.json cannot cut this text into tokens."):
            return (by or self._tokenizer).encode(text, add_special_tokens=special)

    def _decoded(self, ids: list[int], *, skip: bool) -> str:
        with _one_sentence("tokenizer.json cannot turn these tokens into text."):
            return self._tokenizer.decode(ids, skip_special_tokens=skip)

    def _special(self, entry: Any) -> int | None:
        text = entry.get("content") if isinstance(entry, dict) else entry
        return self._tokenizer.token_to_id(text) if isinstance(text, str) else None

    def _opens_with_bos(self, settings: dict[str, Any]) -> bool:
        if self.bos_id is None:
            return False
        if isinstance(settings.get("add_bos_token"), bool):
            return settings["add_bos_token"]
        return self._encoded("", special=True).ids[:1] == [self.bos_id]


@contextmanager
def _one_sentence(says: str) -> Iterator[None]:
    """Raise a `ModelError` for whatever the package raises.

    That is plain `Exception` for all it dislikes, and where its Rust panics an exception that is
    none: it passes whatever catches errors, and ends threads.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as problem:
        raise ModelError(says) from problem


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json and tokenizer_config.json of a model folder."""
    path = folder / "tokenizer.json"
    if (size := file_size(path)) > MAX_BYTES:
        raise ModelError(
            f"tokenizer.json has {size:,} bytes, more than the {MAX_BYTES:,} expected."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ModelError("tokenizer.json is not a tokenizer that can be read.") from problem
    path = folder / "tokenizer_config.json"
    return Tokenizer(text, read_json_object(path, MAX_BYTES) if path.exists() else {})
