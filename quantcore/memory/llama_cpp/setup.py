"""What a user of llama.cpp chooses, and what llama.cpp makes of it.

Source: llama_context's constructor, llama_kv_cache_iswa's and graph_reserve in llama.cpp at commit
0c1e57098.
"""

from dataclasses import dataclass

PAD = 256  # contexts and windows are rounded up to a multiple of it


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppSetup:
    """The options that decide about memory, each with llama.cpp's own default and name.

    All `sequences` share `context`: each has its part of it, or where the cache is `unified` takes
    what it needs.
    """

    context: int = 4096  # -c
    sequences: int = 1  # -np
    key_type: str = "F16"  # -ctk
    value_type: str = "F16"  # -ctv
    batch: int = 2048  # -b
    ubatch: int = 512  # -ub
    flash_attention: bool = True  # -fa
    unified: bool = False  # -kvu

    @property
    def n_streams(self) -> int:
        """Parts of the cache that never see each other's tokens."""
        return 1 if self.unified else self.sequences

    @property
    def cells(self) -> int:
        """Tokens that the cache of a layer without window holds, for each stream."""
        padded = pad(self.context)
        return padded if self.unified else pad(padded // self.sequences)

    @property
    def n_ubatch(self) -> int:
        """Tokens that are worked on at a time."""
        return min(self.context, self.batch, self.ubatch)

    @property
    def n_tokens(self) -> int:
        """Tokens of the graph that the compute buffer is measured for, as many a sequence."""
        return -(-self.n_ubatch // self.sequences) * self.sequences

    def window_cells(self, window: int) -> int:
        """Tokens that a layer with a sliding window keeps, for each stream.

        Beside the window itself the tokens that are worked on, as no token may be overwritten
        while another of them still sees it.
        """
        seen = window * (self.sequences if self.unified else 1)
        return pad(min(self.cells, seen + self.n_ubatch))


def pad(n_tokens: int) -> int:
    """Round up to llama.cpp's step."""
    return -(-n_tokens // PAD) * PAD
