"""Write a model as an F32 GGUF file with gguf's own writer, for llama.cpp to run."""

import gguf
import numpy as np

from quantcore.model.config import LlamaConfig


def write(path, config: LlamaConfig, weights):
    """Write `weights` (float32 by GGUF name, heads in halves as Hugging Face keeps them).

    The vocabulary is made of stand-ins: only token numbers go in and logits come out.
    """
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.feed_forward_size)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.head_size)
    writer.add_value_length(config.head_size)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_size)
    writer.add_vocab_size(config.vocabulary_size)
    writer.add_file_type(0)
    _add_vocabulary(writer, config.vocabulary_size)
    for name, array in weights.items():
        writer.add_tensor(name, _interleaved(name, array, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer, n):
    special = {0: "<unk>", 1: "<s>", 2: "</s>"}
    writer.add_tokenizer_model("llama")
    writer.add_token_list([special.get(i, f"t{i}").encode() for i in range(n)])
    writer.add_token_scores([0.0] * n)
    writer.add_token_types([2 if i == 0 else 3 if i < 3 else 1 for i in range(n)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def _interleaved(name, array, config):
    """GGUF rotates neighbours, so the two halves of each query and key head are interleaved."""
    heads = {"attn_q": config.n_heads, "attn_k": config.n_kv_heads}.get(name.split(".")[-2])
    if heads is None:
        return np.ascontiguousarray(array, np.float32)
    halves = array.reshape(heads, 2, config.head_size // 2, *array.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(array.shape), np.float32)
