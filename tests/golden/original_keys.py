# SPDX-License-Identifier: MIT
"""A pipeline as one checkpoint in the original key layout, as the community trades them.

make_models.py writes these; what comes out of diffusers' own conversion must be the pipeline's
tensors again, or writing fails."""

import re

import safetensors.torch
import torch
from diffusers.loaders import single_file_utils

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
          "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
UNET = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2", "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2"}
VAE = {"mid_block.resnets.0": "mid.block_1", "mid_block.attentions.0": "mid.attn_1",
       "mid_block.resnets.1": "mid.block_2", "conv_norm_out": "norm_out",
       "conv_shortcut": "nin_shortcut", "downsamplers.0": "downsample",
       "upsamplers.0": "upsample", "resnets": "block"}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v",
                 "to_out.0": "proj_out"}
OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
             "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}


def renamed(key, names):
    """The key with each run of whole parts in names replaced."""
    for new, old in names.items():
        key = re.sub(rf"(^|\.){re.escape(new)}(?=\.)", rf"\g<1>{old}", key)
    return key


def unet_blocks(unet):
    """The original numbers the modules on the way down, and those on the way up, one after
    another: diffusers' names to those."""
    names, n = dict(UNET), 1
    for i, block in enumerate(unet.down_blocks):
        for j in range(len(block.resnets)):
            names[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{n}.0"
            names[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{n}.1"
            n += 1
        if block.downsamplers:
            names[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{n}.0.op"
            n += 1
    n = 0
    for i, block in enumerate(unet.up_blocks):
        for j in range(len(block.resnets)):
            names[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{n}.0"
            names[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{n}.1"
            n += 1
        place = 2 if hasattr(block, "attentions") else 1
        names[f"up_blocks.{i}.upsamplers.0"] = f"output_blocks.{n - 1}.{place}"
    return names


def original_unet(unet):
    names = unet_blocks(unet)
    tensors = {}
    for key, tensor in unet.state_dict().items():
        if ".resnets." in key:
            key = renamed(key, RESNET)
        tensors["model.diffusion_model." + renamed(key, names)] = tensor
    return tensors


def original_vae(vae, prefix):
    last = len(vae.decoder.up_blocks) - 1
    tensors = {}
    for key, tensor in vae.state_dict().items():
        if ".attentions." in key:
            key = renamed(key, VAE_ATTENTION)
            tensor = tensor[:, :, None, None] if tensor.dim() == 2 else tensor
        key = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{last - int(m[1])}", key)
        key = key.replace("down_blocks", "down")
        tensors[prefix + renamed(key, VAE)] = tensor
    return tensors


def original_clip(text_encoder, prefix="cond_stage_model.transformer."):
    tensors = {f"{prefix}{k}": v for k, v in text_encoder.state_dict().items()}
    context = text_encoder.config.max_position_embeddings
    tensors[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(context)[None]
    return tensors


def original_open_clip(text_encoder, prefix="cond_stage_model.model."):
    """With one layer more, which nobody uses, nor the projection where the text encoder has none:
    large numbers, so that their use is noticed."""
    state = {k.removeprefix("text_model."): v for k, v in text_encoder.state_dict().items()}
    width, layers = text_encoder.config.hidden_size, text_encoder.config.num_hidden_layers
    tensors = {"token_embedding.weight": state["embeddings.token_embedding.weight"],
               "positional_embedding": state["embeddings.position_embedding.weight"],
               "ln_final.weight": state["final_layer_norm.weight"],
               "ln_final.bias": state["final_layer_norm.bias"],
               "text_projection": state["text_projection.weight"].T
               if "text_projection.weight" in state else torch.full((width, width), 100.0),
               "logit_scale": torch.tensor(100.0)}
    for i in range(layers):
        for key, tensor in state.items():
            if key.startswith(f"encoder.layers.{i}.") and not re.search(r"\.[qkv]_proj\.", key):
                key = renamed(key.removeprefix(f"encoder.layers.{i}."), OPEN_CLIP)
                tensors[f"transformer.resblocks.{i}.{key}"] = tensor
        for kind in ("weight", "bias"):
            tensors[f"transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat(
                [state[f"encoder.layers.{i}.self_attn.{part}_proj.{kind}"] for part in "qkv"])
    for key in [k for k in tensors if k.startswith("transformer.resblocks.0.")]:
        unused = key.replace("resblocks.0", f"resblocks.{layers}")
        tensors[unused] = torch.full_like(tensors[key], 50.0)
    return {f"{prefix}{k}": v for k, v in tensors.items()}


# Which text encoder is where: (its name in the pipeline, OpenCLIP's naming, prefix)
TEXT = {"clip": [("text_encoder", False, "cond_stage_model.transformer.")],
        "open_clip": [("text_encoder", True, "cond_stage_model.model.")],
        "xl": [("text_encoder", False, "conditioner.embedders.0.transformer."),
               ("text_encoder_2", True, "conditioner.embedders.1.model.")]}


def surplus():
    """What training left in the published files."""
    return {"model_ema.decay": torch.tensor(0.9999), "betas": torch.linspace(0, 1, 1000),
            "alphas_cumprod": torch.linspace(1, 0, 1000),
            "model_ema.diffusion_modelconv_inweight": torch.zeros(3)}


def check(tensors, pipe, spec):
    """diffusers' conversion gives back every tensor of every network."""
    convert = single_file_utils
    found = [(pipe.unet, convert.convert_ldm_unet_checkpoint(dict(tensors), dict(pipe.unet.config))),
             (pipe.vae, convert.convert_ldm_vae_checkpoint(dict(tensors), dict(pipe.vae.config)))]
    for name, open_clip, prefix in TEXT[spec["single_file"]["text"]]:
        network = getattr(pipe, name)
        found.append((network, convert.convert_open_clip_checkpoint(
            network, dict(tensors), prefix=prefix) if open_clip else
            convert.convert_ldm_clip_checkpoint(dict(tensors))))
    for network, converted in found:
        for key, tensor in network.state_dict().items():
            assert torch.equal(converted[key].reshape(tensor.shape), tensor), key


def write(path, spec, pipe):
    tensors = original_unet(pipe.unet) | original_vae(pipe.vae, spec["single_file"]["vae_prefix"])
    for name, open_clip, prefix in TEXT[spec["single_file"]["text"]]:
        tensors |= (original_open_clip if open_clip else original_clip)(getattr(pipe, name), prefix)
    tensors |= surplus()
    check(tensors, pipe, spec)
    stored = {k: v.to(spec["single_file"]["dtype"]).contiguous() if v.is_floating_point() else v
              for k, v in tensors.items()}
    safetensors.torch.save_file(stored, path)
    path.chmod(0o644)
