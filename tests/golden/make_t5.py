# SPDX-License-Identifier: MIT
"""Small random T5 encoders and what transformers makes of them.

    python make_t5.py [NAME ...]          writes t5/ beside this script

t5/NAME/text_encoder is an encoder as published (config.json, weights, or shards with an index),
t5/NAME.safetensors what T5EncoderModel makes of some ids in f32: for each case i of NAME.json
`i.ids` (I32, n x tokens), `i.mask` (F32, 1 where a token is seen), `i.hidden` (n x tokens x width,
0 in the rows of tokens that are not seen, whose states have no meaning).
"""

import math
import shutil
import sys

import torch
import transformers

import common
from make_models import save, write_weights

T5 = common.HERE / "t5"

# `loud`: sums along the residual that leave f16's range, as T5-XXL's do.
SPECS = {
    "gated": {
        "seed": 1, "loud": 1e5, "storage": {"dtype": torch.float32}, "lengths": [1, 7, 40],
        "config": {
            "architectures": ["T5EncoderModel"], "d_ff": 52, "d_kv": 12, "d_model": 40,
            "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.1,
            "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0,
            "is_encoder_decoder": True, "is_gated_act": True, "layer_norm_epsilon": 1e-06,
            "model_type": "t5", "num_decoder_layers": 3, "num_heads": 3, "num_layers": 3,
            "output_past": True, "pad_token_id": 0, "relative_attention_max_distance": 20,
            "relative_attention_num_buckets": 9, "tie_word_embeddings": False,
            "torch_dtype": "float32", "transformers_version": "4.21.1", "use_cache": True,
            "vocab_size": 400}},
    "relu": {
        "seed": 2, "loud": 1.0, "storage": {"dtype": torch.bfloat16, "shards": 3},
        "old_name": True, "lengths": [5, 300],
        "config": {"d_ff": 32, "d_kv": 8, "d_model": 24, "layer_norm_epsilon": 1e-05,
                   "model_type": "t5", "num_heads": 4, "num_layers": 2, "vocab_size": 300}},
    "erf": {
        "seed": 3, "loud": 1.0, "storage": {"dtype": torch.float16}, "lengths": [12],
        "config": {"d_ff": 33, "d_kv": 9, "d_model": 31, "dense_act_fn": "gelu",
                   "feed_forward_proj": "gated-gelu", "is_gated_act": True, "model_type": "t5",
                   "num_heads": 2, "num_layers": 2, "relative_attention_num_buckets": 4,
                   "relative_attention_max_distance": 3, "vocab_size": 100}},
}


def randomize(network, spec, generator):
    for name, p in network.named_parameters():
        if "norm" in name:
            p.copy_(torch.rand(p.shape, generator=generator) * 0.6 + 0.7)
        elif "relative" in name or "shared" in name or "embed" in name:
            p.copy_(torch.randn(p.shape, generator=generator))
        else:
            gain = 0.3 if name.endswith((".q.weight", ".k.weight")) else 1.0
            if name.endswith((".o.weight", ".wo.weight")):
                gain = spec["loud"]
            p.copy_(torch.randn(p.shape, generator=generator) * gain / math.sqrt(p.shape[1]))
        stored = spec["storage"]["dtype"]
        p.copy_(p.to(stored).to(torch.float32))


def cases(network, spec, generator):
    tensors, rows = {}, []
    vocabulary = network.config.vocab_size
    for i, tokens in enumerate(spec["lengths"]):
        n = 2 if tokens > 1 else 1
        ids = torch.randint(vocabulary, (n, tokens), generator=generator)
        mask = torch.ones(n, tokens)
        if n > 1:
            mask[1, (tokens + 1) // 2:] = 0
        hidden = network(ids, attention_mask=mask)[0] * mask[:, :, None]
        tensors |= {f"{i}.ids": ids.int(), f"{i}.mask": mask, f"{i}.hidden": hidden.contiguous()}
        rows.append({"prefix": str(i), "count": n, "tokens": tokens})
    return tensors, rows


def build(name, spec):
    generator = torch.Generator().manual_seed(spec["seed"])
    config = transformers.T5Config(**spec["config"])
    network = transformers.T5EncoderModel(config).eval().requires_grad_(False)
    randomize(network, spec, generator)
    folder = T5 / name / "text_encoder"
    shutil.rmtree(T5 / name, ignore_errors=True)
    common.write_json(folder / "config.json", spec["config"])
    weights = network.state_dict()
    del weights["shared.weight" if spec.get("old_name") else "encoder.embed_tokens.weight"]
    write_weights(folder, "model", weights, spec["storage"])
    tensors, rows = cases(network, spec, generator)
    save(tensors, T5 / f"{name}.safetensors")
    common.write_cases(T5 / f"{name}.json", rows)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SPECS:
        build(chosen, SPECS[chosen])
