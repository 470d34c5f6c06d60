"""The buffer for intermediate results, by what fills it at its fullest."""

from quantcore.memory.shape import ModelShape

UBATCH = 512  # tokens that llama.cpp works on at a time, -ub


def compute_buffer_bytes(shape: ModelShape, context: int, ubatch: int = UBATCH) -> int:
    """Estimate llama.cpp's compute buffer on the CPU, flash attention on.

    Two hidden states of `ubatch` tokens live throughout. Beside them the buffer must hold either
    the logits or, in a layer, the attention mask (two bytes a pair of tokens) and the results of
    gate, up and their product, once for each expert that a token uses. Against the sizes that
    llama.cpp itself reports (tests/golden/llama_cpp_memory.json) this is right within 3 % for
    dense models with at most 32,768 tokens, and 13 % low for DeepSeek-V2-Lite.
    """
    tokens_bytes = 4 * min(ubatch, context)
    used, width = 1, shape.feed_forward_size
    if shape.experts:
        used, width = shape.experts.used, shape.experts.size
    logits = tokens_bytes * shape.vocabulary_size
    mask = tokens_bytes * context // 2
    layer = mask + tokens_bytes * used * (3 * width + shape.hidden_size)
    return 2 * tokens_bytes * shape.hidden_size + max(logits, layer)
