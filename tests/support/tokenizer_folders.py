"""Model folders with tokenizers of several kinds."""

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

PREPEND, SPACES = normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")
METASPACE = {
    "Prepend and Replace": (normalizers.Sequence([PREPEND, SPACES]), None, True),
    "Replace": (SPACES, None, False),
    "Metaspace first": (None, pre_tokenizers.Metaspace(prepend_scheme="first"), True),
    "Metaspace never": (None, pre_tokenizers.Metaspace(prepend_scheme="never"), False),
    "Gemma's": (SPACES, pre_tokenizers.Split(" ", "merged_with_previous"), False),
}


def with_tokenizer(folder, change):
    """Write a model folder whose byte-level tokenizer is changed."""
    write_folder(folder)
    path = folder / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    change(tokenizer)
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    return folder


def sentence_piece(folder, normalizer, pre_tokenizer=None):
    """Write a model folder with SentencePiece's kind of tokenizer."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = ["▁ t", "h e", "▁t he", "o n", "▁ on", "c e", "▁on ce"]
    pieces += sorted({c for merge in merges for c in merge.replace(" ", "")})
    pieces += [merge.replace(" ", "") for merge in merges]
    inner = tokenizers.Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[tuple(merge.split(" ")) for merge in merges],
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    inner.normalizer, inner.pre_tokenizer = normalizer, pre_tokenizer
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    config = CONFIG | {"vocab_size": len(pieces)}
    write_folder(folder, config)
    (folder / "tokenizer.json").write_text(inner.to_str(), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", tensors(config))
    return folder
