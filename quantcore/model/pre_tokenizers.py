"""How text is cut before byte pairs are merged, by the names in tokenizer.ggml.pre.

Patterns and names are facts of llama.cpp's src/llama-vocab.cpp and, where it adapts one, of the
tokenizer.json that it comes from; tests hold every name against llama.cpp's own tokens. Two things
are the models' own and not llama.cpp's: marks stay with their letters in `tekken` and `gpt-4o`, and
Qwen's texts are composed first (NFC).
"""

from typing import Any

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
_GPT_2 = _BYTES | {"use_regex": True}  # cuts by `_GPT_2_WORDS`
_DIGITS = {"type": "Digits", "individual_digits": True}
_GPT_2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_AFTER = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+{ends}|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*{ends}|"
)
# Cased letters as DeepSeek LLM lists them.
_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
    "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
_MARKS = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
_CHINESE = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_CHINESE_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_NOT_PUNCTUATION = r" ?[^(\s|.,!?…。，、।۔،)]+"


def _words(numbers: str) -> str:
    """Contractions, words, numbers, marks and spaces: the pattern of Llama 3 and its relatives."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + numbers
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        + _AFTER
    )


def _cased(numbers: str, ends: str = "") -> str:
    """Words that end where capitals begin: the pattern of Mistral's Tekken and of GPT-4o."""
    return _CASED.replace("{ends}", ends) + numbers + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _AFTER


def _cuts(*patterns: str) -> list[dict[str, Any]]:
    """Cut by one pattern after the other, then turn bytes into letters."""
    kind = {"type": "Split", "behavior": "Isolated", "invert": False}
    return [kind | {"pattern": {"Regex": pattern}} for pattern in patterns] + [_BYTES]


# Name: the steps of a tokenizer.json's pre_tokenizer.
PRE_TOKENIZERS: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [_GPT_2],
    "smollm": [_DIGITS, _GPT_2],
    "llama-bpe": _cuts(_words(r"\p{N}{1,3}")),
    "qwen2": _cuts(_words(r"\p{N}")),
    "tekken": _cuts(_cased(r"\p{N}")),
    "gpt-4o": _cuts(_cased(r"\p{N}{1,3}", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?")),
    "deepseek-llm": _cuts(
        r"[\r\n]", rf"\s?[{_LETTERS}]+", rf"\s?[{_MARKS}]+", r"\s+$", _CHINESE, r"\p{N}+"
    ),
    "deepseek-coder": _cuts(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CHINESE, r"\p{N}"),
    "deepseek-v3": _cuts(
        r"\p{N}{1,3}",
        _CHINESE_KANA,
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
        r" ?[\p{P}\p{S}]+[\r\n]*" + _AFTER,
    ),
    "falcon": _cuts(r"[\p{P}\$\+<=>\^~\|`]+", _GPT_2_WORDS, "[0-9][0-9][0-9]"),
    "default": _cuts(r"[\p{P}\$\+<=>\^~\|]+", _GPT_2_WORDS, r"\p{N}+", "[0-9][0-9][0-9]"),
    "poro-chat": _cuts(_NOT_PUNCTUATION),
    "viking": _cuts(_NOT_PUNCTUATION, r"\p{N}"),
    "seed-coder": _cuts(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"
        + _AFTER
    ),
}
_SAME_CUTS = {
    "gpt-2": "phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum mpt olmo jais "
    "trillion granite-docling",
    "smollm": "starcoder refact command-r codeshell exaone minerva-7b",
    "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe",
    "qwen2": "deepseek-r1-qwen kormo stablelm2 megrez hunyuan",
    "gpt-4o": "llama4",
    "poro-chat": "bloom gpt3-finnish",
}
FAMILY = {name: name for name in PRE_TOKENIZERS} | {
    name: family for family, names in _SAME_CUTS.items() for name in names.split()
}
"""Every name that the lab knows, and the entry of `PRE_TOKENIZERS` that cuts alike."""

TAKES_WHOLE_WORDS = {
    *("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
    "tekken",
}
"""A piece that is a token as it stands is not merged; texts are opened by a token of their own."""
