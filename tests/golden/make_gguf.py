# SPDX-License-Identifier: MIT
"""A T5 encoder in a GGUF file, what gguf makes of its tensors, and transformers of the encoder.

    python make_gguf.py          writes gguf/ beside this script

gguf/t5.gguf has blocks of every format that is read (random ones for those that the package cannot
make), under llama.cpp's names; gguf/config.json is the encoder's config. gguf/t5.safetensors holds
`NAME` (the first elements, 600 at most, of every tensor as gguf's dequantize gives it, f32),
`NAME.sum` (I64: over all elements i their bits as a 32-bit number times 2i + 1, modulo 2^64) and
`ids`, `hidden`: T5EncoderModel with those weights. gguf/other.gguf has a tensor of Q4_0 and another architecture.
"""

import shutil

import gguf
import numpy
import torch
import transformers
from gguf import GGMLQuantizationType as Type

import common
from make_models import save

OUT = common.HERE / "gguf"
CONFIG = {"d_ff": 256, "d_kv": 128, "d_model": 256, "feed_forward_proj": "gated-gelu",
          "model_type": "t5", "num_heads": 2, "num_layers": 1,
          "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16,
          "vocab_size": 24}
BLOCK = "encoder.block.0."
TENSORS = {
    "shared.weight": ("token_embd.weight", Type.Q6_K),
    "encoder.final_layer_norm.weight": ("enc.output_norm.weight", Type.F32),
    BLOCK + "layer.0.layer_norm.weight": ("enc.blk.0.attn_norm.weight", Type.F32),
    BLOCK + "layer.1.layer_norm.weight": ("enc.blk.0.ffn_norm.weight", Type.F32),
    BLOCK + "layer.0.SelfAttention.q.weight": ("enc.blk.0.attn_q.weight", Type.Q4_K),
    BLOCK + "layer.0.SelfAttention.k.weight": ("enc.blk.0.attn_k.weight", Type.Q5_K),
    BLOCK + "layer.0.SelfAttention.v.weight": ("enc.blk.0.attn_v.weight", Type.Q8_0),
    BLOCK + "layer.0.SelfAttention.o.weight": ("enc.blk.0.attn_o.weight", Type.F16),
    BLOCK + "layer.0.SelfAttention.relative_attention_bias.weight":
        ("enc.blk.0.attn_rel_b.weight", Type.BF16),
    BLOCK + "layer.1.DenseReluDense.wi_0.weight": ("enc.blk.0.ffn_gate.weight", Type.Q4_K),
    BLOCK + "layer.1.DenseReluDense.wi_1.weight": ("enc.blk.0.ffn_up.weight", Type.Q6_K),
    BLOCK + "layer.1.DenseReluDense.wo.weight": ("enc.blk.0.ffn_down.weight", Type.Q5_K),
}
# Where the 16-bit scales of a block of random bytes lie, and how large they are to be.
SCALES = {Type.Q4_K: {0: 2e-4, 2: 2e-3}, Type.Q5_K: {0: 1e-4, 2: 2e-3}, Type.Q6_K: {208: 5e-5}}


def quantize(values, kind, generator):
    if kind not in SCALES:
        return gguf.quants.quantize(values, kind)
    size, length = gguf.GGML_QUANT_SIZES[kind]
    blocks = generator.integers(0, 256, (values.size // size, length), dtype=numpy.uint8)
    for at, scale in SCALES[kind].items():
        scales = scale * generator.uniform(0.5, 1.5, len(blocks))
        blocks[:, at:at + 2] = scales.astype(numpy.float16).view(numpy.uint8).reshape(-1, 2)
    return blocks.reshape(values.shape[0], -1)


def digest(tensors):
    """What is kept of them."""
    kept = {}
    for name, tensor in tensors.items():
        flat = tensor.flatten()
        bits = flat.numpy().view(numpy.uint32).astype(numpy.uint64)
        weights = 2 * numpy.arange(len(bits), dtype=numpy.uint64) + numpy.uint64(1)
        total = (bits * weights).sum(dtype=numpy.uint64).reshape(1).view(numpy.int64)
        kept |= {name: flat[:600].clone(), f"{name}.sum": torch.from_numpy(total)}
    return kept


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    common.write_json(OUT / "config.json", CONFIG)
    generator = numpy.random.default_rng(3)
    network = transformers.T5EncoderModel(transformers.T5Config(**CONFIG)).eval()
    state, expected = network.state_dict(), {}
    writer = gguf.GGUFWriter(OUT / "t5.gguf", "t5encoder")
    writer.add_name("golden")
    writer.add_block_count(CONFIG["num_layers"])
    writer.add_array("tokenizer.ggml.tokens", ["<pad>", "</s>", "a"])
    writer.add_array("tokenizer.ggml.scores", [0.0, -1.0, 0.5])
    for key, (name, kind) in TENSORS.items():
        shape = tuple(state[key].shape)
        values = generator.standard_normal(shape).astype(numpy.float32)
        if "norm" in key:
            values = 1 + 0.2 * values
        elif "bias" not in key:
            values = values / numpy.float32(16)
        data = quantize(values, kind, generator)
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = torch.from_numpy(
            gguf.quants.dequantize(data, kind).reshape(shape).astype(numpy.float32))
        state[key] = expected[name]
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    network.load_state_dict(state)
    ids = torch.from_numpy(generator.integers(0, CONFIG["vocab_size"], (1, 30)))
    hidden = network(ids)[0].contiguous()
    save(digest(expected) | {"ids": ids.int(), "hidden": hidden}, OUT / "t5.safetensors")
    other = gguf.GGUFWriter(OUT / "other.gguf", "llama")
    data = gguf.quants.quantize(numpy.ones((2, 32), numpy.float32), Type.Q4_0)
    other.add_tensor("token_embd.weight", data, raw_dtype=Type.Q4_0)
    other.write_header_to_file()
    other.write_kv_data_to_file()
    other.write_tensors_to_file()
    other.close()


if __name__ == "__main__":
    main()
