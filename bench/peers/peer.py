# SPDX-License-Identifier: MIT
"""A peer's workload for bench/bench.c: peer.py PROGRAM WHAT DTYPE MODEL

Speaks as bench/workload.c: "ready 0" when warm, then for each line of input the work once and its
seconds. PROGRAM: diffusers, diffusers-channels-last, openvino. The networks have MODEL's configs
and random weights. OpenVINO's converted models are kept in build/peers.
"""
import os
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

KINDS = {"unet_step": "unet", "vae_decode": "vae", "text_encoder": "text_encoder"}
TORCH = {"f32": torch.float32, "bf16": torch.bfloat16}


class Decoder(torch.nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.vae = vae

    def forward(self, latents):
        return self.vae.decode(latents, return_dict=False)[0]


class Step(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, text):
        return self.unet(sample, timestep, text, return_dict=False)[0]


class Text(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, ids):
        return self.encoder(ids, return_dict=False)[0]


def network(what, model, dtype):
    """(module, its inputs)"""
    folder = os.path.join(model, KINDS[what])
    torch.manual_seed(0)
    if what == "unet_step":
        config = UNet2DConditionModel.load_config(folder)
        size = config["sample_size"]
        net = Step(UNet2DConditionModel.from_config(config))
        inputs = (torch.randn(2, 4, size, size), torch.tensor(500.),
                  torch.randn(2, 77, config["cross_attention_dim"]))
    elif what == "vae_decode":
        unet = UNet2DConditionModel.load_config(os.path.join(model, "unet"))
        net = Decoder(AutoencoderKL.from_config(AutoencoderKL.load_config(folder)))
        inputs = (torch.randn(1, 4, unet["sample_size"], unet["sample_size"]),)
    else:
        net = Text(CLIPTextModel(CLIPTextConfig.from_pretrained(folder)))
        inputs = (torch.randint(0, 49000, (2, 77)),)
    net = net.eval().to(dtype)
    return net, tuple(x.to(dtype) if x.is_floating_point() and x.dim() else x for x in inputs)


def openvino_call(what, model, dtype):
    import openvino
    folder = os.path.join("build", "peers")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{what}.xml")
    net, inputs = network(what, model, torch.float32)
    if not os.path.exists(path):
        converted = openvino.convert_model(net, example_input=inputs)
        for port, x in zip(converted.inputs, inputs):
            port.get_node().set_partial_shape(openvino.PartialShape(list(x.shape)))
        converted.validate_nodes_and_infer_types()
        openvino.save_model(converted, path, compress_to_fp16=False)
    del net
    hint = {"f32": openvino.Type.f32, "bf16": openvino.Type.bf16}[dtype]
    compiled = openvino.Core().compile_model(path, "CPU", {
        "INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"})
    arrays = [x.numpy() for x in inputs]
    return lambda: compiled(arrays)


def torch_call(program, what, model, dtype):
    net, inputs = network(what, model, TORCH[dtype])
    if program == "diffusers-channels-last":
        net = net.to(memory_format=torch.channels_last)
        inputs = tuple(x.to(memory_format=torch.channels_last) if x.dim() == 4 else x
                       for x in inputs)
    return lambda: net(*inputs)


@torch.no_grad()
def main(program, what, dtype, model):
    if program == "openvino":
        call = openvino_call(what, model, dtype)
    else:
        call = torch_call(program, what, model, dtype)
    call()
    print("ready 0", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        call()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
