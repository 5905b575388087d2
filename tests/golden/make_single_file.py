# SPDX-License-Identifier: MIT
"""Goldens for tests/unit/test_single_file.c: which tensor of a single-file checkpoint is which
tensor of diffusers' networks.

The checkpoint's keys and shapes are built here from the structure of the original code (a
network's modules in the order in which they are numbered there). diffusers' own conversion then
renames them; every tensor carries its number and its row numbers as values, so what came out of it
says where it came from. The conversion must give exactly the keys and shapes of diffusers'
networks, or this script fails.

Pinned: diffusers 0.30.3, transformers 4.44.2.   python make_single_file.py [folder of the configs]

A golden is a text file:
    config NETWORK JSON         the network's config (absent: the one that the library ships)
    KEY SHAPE                   a tensor of the checkpoint
     NETWORK KEY SHAPE ROW      (indented) what it is to a network: its rows from ROW on; SHAPE "="
                                is the checkpoint's
A tensor without indented lines is not used.
"""

import json
import pathlib
import sys

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

assert diffusers.__version__ == "0.30.3" and transformers.__version__ == "4.44.2"

HERE = pathlib.Path(__file__).resolve().parent
SHIPPED = HERE.parent.parent / "src" / "pipeline" / "layouts"
ROWS = 1 << 16  # values are number * ROWS + row


class Tensors(dict):
    """Name to shape, filled module by module."""

    def norm(self, name, channels):
        self[f"{name}.weight"] = (channels,)
        self[f"{name}.bias"] = (channels,)

    def linear(self, name, outs, ins, bias=True):
        self[f"{name}.weight"] = (outs, ins)
        if bias:
            self[f"{name}.bias"] = (outs,)

    def conv(self, name, outs, ins, size):
        self[f"{name}.weight"] = (outs, ins, size, size)
        self[f"{name}.bias"] = (outs,)


# ------------------------------------------------------------------------- the original networks


def original_unet(config):
    t = Tensors()
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    first, wide = channels[0], 4 * channels[0]
    attends = [kind.startswith("CrossAttn") for kind in config["down_block_types"]]
    context, linear = config["cross_attention_dim"], config.get("use_linear_projection", False)

    def residual(name, ins, outs):
        t.norm(f"{name}.in_layers.0", ins)
        t.conv(f"{name}.in_layers.2", outs, ins, 3)
        t.linear(f"{name}.emb_layers.1", outs, wide)
        t.norm(f"{name}.out_layers.0", outs)
        t.conv(f"{name}.out_layers.3", outs, outs, 3)
        if ins != outs:
            t.conv(f"{name}.skip_connection", outs, ins, 1)

    def projection(name, n):
        if linear:
            t.linear(name, n, n)
        else:
            t.conv(name, n, n, 1)

    def attention(name, n):
        t.norm(f"{name}.norm", n)
        projection(f"{name}.proj_in", n)
        for depth in range(config.get("transformer_layers_per_block", 1)):
            block = f"{name}.transformer_blocks.{depth}"
            for which, source in (("attn1", n), ("attn2", context)):
                t.linear(f"{block}.{which}.to_q", n, n, bias=False)
                t.linear(f"{block}.{which}.to_k", n, source, bias=False)
                t.linear(f"{block}.{which}.to_v", n, source, bias=False)
                t.linear(f"{block}.{which}.to_out.0", n, n)
            t.linear(f"{block}.ff.net.0.proj", 8 * n, n)
            t.linear(f"{block}.ff.net.2", n, 4 * n)
            for norm in ("norm1", "norm2", "norm3"):
                t.norm(f"{block}.{norm}", n)
        projection(f"{name}.proj_out", n)

    t.linear("time_embed.0", wide, first)
    t.linear("time_embed.2", wide, wide)
    t.conv("input_blocks.0.0", first, config["in_channels"], 3)
    number, now, skips = 1, first, [first]
    for level, outs in enumerate(channels):
        for _ in range(layers):
            residual(f"input_blocks.{number}.0", now, outs)
            now = outs
            if attends[level]:
                attention(f"input_blocks.{number}.1", now)
            skips.append(now)
            number += 1
        if level + 1 < len(channels):
            t.conv(f"input_blocks.{number}.0.op", now, now, 3)
            skips.append(now)
            number += 1
    residual("middle_block.0", now, now)
    attention("middle_block.1", now)
    residual("middle_block.2", now, now)
    number = 0
    for level, outs in reversed(list(enumerate(channels))):
        for layer in range(layers + 1):
            residual(f"output_blocks.{number}.0", now + skips.pop(), outs)
            now = outs
            if attends[level]:
                attention(f"output_blocks.{number}.1", now)
            if level > 0 and layer == layers:
                t.conv(f"output_blocks.{number}.{1 + attends[level]}.conv", now, now, 3)
            number += 1
    t.norm("out.0", now)
    t.conv("out.2", config["out_channels"], now, 3)
    return t


def original_vae(config):
    t = Tensors()
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    latent = config["latent_channels"]

    def residual(name, ins, outs):
        t.norm(f"{name}.norm1", ins)
        t.conv(f"{name}.conv1", outs, ins, 3)
        t.norm(f"{name}.norm2", outs)
        t.conv(f"{name}.conv2", outs, outs, 3)
        if ins != outs:
            t.conv(f"{name}.nin_shortcut", outs, ins, 1)

    def middle(name, n):
        residual(f"{name}.block_1", n, n)
        t.norm(f"{name}.attn_1.norm", n)
        for part in ("q", "k", "v", "proj_out"):
            t.conv(f"{name}.attn_1.{part}", n, n, 1)
        residual(f"{name}.block_2", n, n)

    now = channels[0]
    t.conv("encoder.conv_in", now, config["in_channels"], 3)
    for level, outs in enumerate(channels):
        for layer in range(layers):
            residual(f"encoder.down.{level}.block.{layer}", now, outs)
            now = outs
        if level + 1 < len(channels):
            t.conv(f"encoder.down.{level}.downsample.conv", now, now, 3)
    middle("encoder.mid", now)
    t.norm("encoder.norm_out", now)
    t.conv("encoder.conv_out", 2 * latent, now, 3)
    t.conv("decoder.conv_in", now, latent, 3)
    middle("decoder.mid", now)
    for level, outs in reversed(list(enumerate(channels))):
        for layer in range(layers + 1):
            residual(f"decoder.up.{level}.block.{layer}", now, outs)
            now = outs
        if level > 0:
            t.conv(f"decoder.up.{level}.upsample.conv", now, now, 3)
    t.norm("decoder.norm_out", now)
    t.conv("decoder.conv_out", config["out_channels"], now, 3)
    t.conv("quant_conv", 2 * latent, 2 * latent, 1)
    t.conv("post_quant_conv", latent, latent, 1)
    return t


def original_clip(config):
    """Hugging Face's CLIPTextModel, position_ids as its versions of then saved them."""
    t = Tensors()
    n, inner = config["hidden_size"], config["intermediate_size"]
    t["text_model.embeddings.position_ids"] = (1, config["max_position_embeddings"])
    t["text_model.embeddings.token_embedding.weight"] = (config["vocab_size"], n)
    t["text_model.embeddings.position_embedding.weight"] = (config["max_position_embeddings"], n)
    for layer in range(config["num_hidden_layers"]):
        name = f"text_model.encoder.layers.{layer}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            t.linear(f"{name}.self_attn.{part}", n, n)
        t.norm(f"{name}.layer_norm1", n)
        t.linear(f"{name}.mlp.fc1", inner, n)
        t.linear(f"{name}.mlp.fc2", n, inner)
        t.norm(f"{name}.layer_norm2", n)
    t.norm("text_model.final_layer_norm", n)
    return t


def original_open_clip(config):
    """OpenCLIP's text tower: one layer more than is used."""
    t = Tensors()
    n, inner = config["hidden_size"], config["intermediate_size"]
    t["positional_embedding"] = (config["max_position_embeddings"], n)
    t["text_projection"] = (n, n)
    t["logit_scale"] = ()
    for layer in range(config["num_hidden_layers"] + 1):
        name = f"transformer.resblocks.{layer}"
        t.norm(f"{name}.ln_1", n)
        t[f"{name}.attn.in_proj_weight"] = (3 * n, n)
        t[f"{name}.attn.in_proj_bias"] = (3 * n,)
        t.linear(f"{name}.attn.out_proj", n, n)
        t.norm(f"{name}.ln_2", n)
        t.linear(f"{name}.mlp.c_fc", inner, n)
        t.linear(f"{name}.mlp.c_proj", n, inner)
    t["token_embedding.weight"] = (config["vocab_size"], n)
    t.norm("ln_final", n)
    return t


def original_checkpoint(configs, open_clip, vae_prefix):
    text = original_open_clip if open_clip else original_clip
    parts = (
        ("model.diffusion_model.", original_unet(configs["unet"])),
        (vae_prefix, original_vae(configs["vae"])),
        ("cond_stage_model." + ("model." if open_clip else "transformer."),
         text(configs["text_encoder"])),
    )
    checkpoint = {prefix + name: shape for prefix, part in parts for name, shape in part.items()}
    surplus = {"betas": (1000,), "alphas_cumprod": (1000,), "model_ema.decay": (),
               "model_ema.diffusion_modelinput_blocks00weight": (8, 4, 3, 3)}
    return {**checkpoint, **surplus}


# ------------------------------------------------------------------------------ what they become


def tagged(number, shape):
    """A tensor of this shape whose values say its number and row; it takes one value a row."""
    rows = shape[0] if shape else 1
    assert rows <= ROWS
    values = number * ROWS + torch.arange(rows, dtype=torch.int64)
    return values.reshape(shape[:1] + (1,) * (len(shape) - 1)).expand(shape)


def source(tensor):
    """(number, first row) of a tensor, whose rows must follow each other."""
    rows = tensor.reshape(tensor.shape[0], -1)[:, 0]
    first = int(rows[0])
    assert torch.equal(rows, torch.arange(first, first + len(rows)))
    return divmod(first, ROWS)


def diffusers_networks(configs):
    text = transformers.CLIPTextConfig(**configs["text_encoder"])
    with torch.device("meta"):
        return {
            "unet": diffusers.UNet2DConditionModel.from_config(configs["unet"]),
            "vae": diffusers.AutoencoderKL.from_config(configs["vae"]),
            "text_encoder": transformers.CLIPTextModel(text),
        }


def converted(configs, checkpoint, open_clip, networks):
    if open_clip:
        text = convert_open_clip_checkpoint(networks["text_encoder"], checkpoint)
    else:
        text = convert_ldm_clip_checkpoint(checkpoint)
    return {
        "unet": convert_ldm_unet_checkpoint(checkpoint, configs["unet"]),
        "vae": convert_ldm_vae_checkpoint(checkpoint, configs["vae"]),
        "text_encoder": text,
    }


def show(shape):
    return ",".join(map(str, shape)) if shape else "-"


def write(name, configs, shipped, open_clip=False, vae_prefix="first_stage_model."):
    shapes = original_checkpoint(configs, open_clip, vae_prefix)
    names = list(shapes)
    checkpoint = {key: tagged(i, shape) for i, (key, shape) in enumerate(shapes.items())}
    networks = diffusers_networks(configs)
    children = {key: [] for key in names}
    for network, tensors in converted(configs, checkpoint, open_clip, networks).items():
        for key, wanted in networks[network].state_dict().items():
            assert tensors[key].shape == wanted.shape, (network, key)
            number, row = source(tensors[key])
            shape = tuple(wanted.shape)
            same = "=" if shape == shapes[names[number]] else show(shape)
            children[names[number]].append(f" {network} {key} {same} {row}")
    lines = []
    if not shipped:
        lines = [f"config {network} {json.dumps(config)}" for network, config in configs.items()]
    for key in names:
        lines += [f"{key} {show(shapes[key])}", *children[key]]
    (HERE / "single_file" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    counts = {network: len(model.state_dict()) for network, model in networks.items()}
    print(name, len(names), "tensors;", counts)


def published(folder, layout):
    return {network: json.loads((folder / layout / network / "config.json").read_text())
            for network in ("unet", "vae", "text_encoder")}


def miniature(down, channels, layers, context, linear, vae_channels, vae_layers, text_layers):
    return {
        "unet": {
            "in_channels": 4, "out_channels": 4, "norm_num_groups": 4, "attention_head_dim": 2,
            "block_out_channels": channels, "layers_per_block": layers,
            "down_block_types": down,
            "up_block_types": [kind.replace("Down", "Up") for kind in reversed(down)],
            "cross_attention_dim": context, "use_linear_projection": linear,
            "transformer_layers_per_block": 2 if linear else 1,
        },
        "vae": {
            "in_channels": 3, "out_channels": 3, "latent_channels": 4, "norm_num_groups": 4,
            "block_out_channels": vae_channels, "layers_per_block": vae_layers,
            "down_block_types": ["DownEncoderBlock2D"] * len(vae_channels),
            "up_block_types": ["UpDecoderBlock2D"] * len(vae_channels),
        },
        "text_encoder": {
            "hidden_size": context, "intermediate_size": 4 * context, "num_attention_heads": 2,
            "num_hidden_layers": text_layers, "max_position_embeddings": 77, "vocab_size": 99,
            "projection_dim": context,
        },
    }


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    attends, plain = "CrossAttnDownBlock2D", "DownBlock2D"
    (HERE / "single_file").mkdir(exist_ok=True)
    write("sd15", published(folder, "sd15"), shipped=True)
    write("sd21", published(folder, "sd21"), shipped=True, open_clip=True)
    write("mini1", miniature([attends, attends, plain], [8, 16, 16], 1, 24, False, [8, 12], 1, 2),
          shipped=False)
    write("mini2",
          miniature([plain, attends, plain, attends], [8, 12, 16, 16], 3, 20, True,
                    [8, 8, 16, 16, 24], 3, 3),
          shipped=False, open_clip=True, vae_prefix="vae.")


if __name__ == "__main__":
    main()
