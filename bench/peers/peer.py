# SPDX-License-Identifier: MIT
"""A peer's workload for bench/bench.c: peer.py PROGRAM WHAT DTYPE MODEL FOLDER

Speaks as bench/workload.c: "ready GMAC" when warm, then for each line of input the work once and
its seconds. A peer that cannot do it says why on standard error. PROGRAM: diffusers,
diffusers-channels-last, diffusers-compiled (torch.compile with freezing), openvino. The networks
have MODEL's configs and random weights.

What takes minutes is made once, by a process of its own so that it does not count as this one's
memory, and kept in FOLDER: OpenVINO's models, torch.compile's kernels.
"""
import os
import subprocess
import sys
import time
import warnings
import zlib

import numpy

KINDS = {"unet_step": "unet", "vae_decode": "vae", "text_encoder": "text_encoder"}
CALIBRATION = 3  # random inputs; the speed does not depend on them


def inputs_of(what, model, seed=0):
    import json
    random = numpy.random.default_rng(seed)
    with open(os.path.join(model, "unet", "config.json"), encoding="utf-8") as file:
        unet = json.load(file)
    size, channels = unet["sample_size"], unet["in_channels"]

    def normal(*shape):
        return random.standard_normal(shape, dtype=numpy.float32)

    if what == "unet_step":
        return [normal(2, channels, size, size), numpy.array(500 + 100 * seed, numpy.float32),
                normal(2, 77, unet["cross_attention_dim"])]
    if what == "vae_decode":
        return [normal(1, channels, size, size)]
    return [random.integers(0, 49000, (2, 77))]


# ------------------------------------------------------------------------------------- torch

def network(what, model, dtype):
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel
    folder = os.path.join(model, KINDS[what])

    class Run(torch.nn.Module):
        """The first output of a network, its inputs by position."""

        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, *inputs):
            run = self.net.decode if what == "vae_decode" else self.net
            return run(*inputs, return_dict=False)[0]

    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    if what == "unet_step":
        net = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
    elif what == "vae_decode":
        net = AutoencoderKL.from_config(AutoencoderKL.load_config(folder))
    else:
        net = CLIPTextModel(CLIPTextConfig.from_pretrained(folder))
    torch.set_default_dtype(torch.float32)
    return Run(net).eval().to(dtype)


def torch_call(program, what, dtype, model, folder):
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.abspath(f"{folder}/inductor"))
    import torch
    dtypes = {"f32": torch.float32, "bf16": torch.bfloat16}
    if dtype not in dtypes:
        raise ValueError("f32 and bf16 only")
    dtype = dtypes[dtype]
    net = network(what, model, dtype)
    inputs = [torch.from_numpy(x) for x in inputs_of(what, model)]
    inputs = [x.to(dtype) if x.is_floating_point() and x.dim() else x for x in inputs]
    if program == "diffusers-channels-last":
        net = net.to(memory_format=torch.channels_last)
        inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
    if program == "diffusers-compiled":
        import torch._inductor.config
        torch._inductor.config.freezing = True
        net = torch.compile(net)

    def call():
        with torch.no_grad():
            net(*inputs)
    return call


# ---------------------------------------------------------------------------------- OpenVINO

def openvino_call(what, dtype, model, folder):
    import openvino
    path = kept("quantize" if dtype == "int8" else "convert", what, model, folder)
    hint = {"f32": openvino.Type.f32, "bf16": openvino.Type.bf16, "int8": openvino.Type.bf16}
    compiled = openvino.Core().compile_model(path, "CPU", {
        "INFERENCE_PRECISION_HINT": hint[dtype], "PERFORMANCE_HINT": "LATENCY"})
    inputs = inputs_of(what, model)
    return lambda: compiled(inputs)


def save(model, path):
    """The file appears whole: its weights before it."""
    import openvino
    openvino.save_model(model, path + ".part.xml", compress_to_fp16=False)
    os.replace(path + ".part.bin", path[:-4] + ".bin")
    os.replace(path + ".part.xml", path)


# ------------------------------------------------------------------ what is made once and kept

def convert(what, model, folder, path):
    import openvino
    import torch
    inputs = [torch.from_numpy(x) for x in inputs_of(what, model)]
    with torch.no_grad():
        made = openvino.convert_model(network(what, model, torch.float32),
                                      example_input=tuple(inputs))
    for port, x in zip(made.inputs, inputs):
        port.get_node().set_partial_shape(openvino.PartialShape(list(x.shape)))
    made.validate_nodes_and_infer_types()
    save(made, path)


def quantize(what, model, folder, path):
    """Weights and activations in int8, nncf's defaults."""
    import nncf
    import openvino
    made = openvino.Core().read_model(kept("convert", what, model, folder))
    data = nncf.Dataset([inputs_of(what, model, seed) for seed in range(CALIBRATION)])
    save(nncf.quantize(made, data, subset_size=CALIBRATION), path)


def count(what, model, folder, path):
    """10^9 multiplications of convolutions, linear layers and attention products."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    with torch.device("meta"):
        net = network(what, model, torch.float32)
    inputs = [torch.from_numpy(x).to("meta") for x in inputs_of(what, model)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*inputs)
    with open(path + ".part", "w", encoding="ascii") as file:
        print(counter.get_total_flops() / 2e9, file=file)
    os.replace(path + ".part", path)


MAKERS = {"convert": (convert, ".xml"), "quantize": (quantize, ".xml"), "count": (count, ".gmac")}


def kept(maker, what, model, folder):
    """The path of what the maker made of this network's config."""
    seal = 0
    for part in ("unet", KINDS[what]):
        with open(os.path.join(model, part, "config.json"), "rb") as file:
            seal = zlib.crc32(file.read(), seal)
    path = os.path.join(folder, f"{maker}-{what}-{seal:08x}{MAKERS[maker][1]}")
    if not os.path.exists(path):
        print(f"peer.py: {maker} {what}, once", file=sys.stderr)
        os.makedirs(folder, exist_ok=True)
        subprocess.run([sys.executable, __file__, maker, what, path, model, folder], check=True,
                       stdin=subprocess.DEVNULL)
    return path


# --------------------------------------------------------------------------------------- main

def serve(program, what, dtype, model, folder):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is no answer
    with open(kept("count", what, model, folder), encoding="ascii") as file:
        gmac = float(file.read())
    if program == "openvino":
        call = openvino_call(what, dtype, model, folder)
    else:
        call = torch_call(program, what, dtype, model, folder)
    call()
    call()
    print("ready", gmac, file=answers, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        call()
        print(time.perf_counter() - start, file=answers, flush=True)


def main(program, what, third, model, folder):
    warnings.simplefilter("ignore")
    try:
        if program in MAKERS:
            MAKERS[program][0](what, model, folder, third)
        else:
            serve(program, what, third, model, folder)
    except Exception as error:  # whatever it is, the others go on
        lines = str(error).strip().splitlines() or [""]
        sys.exit(f"peer.py: {program} {what} {third}: {type(error).__name__}: {lines[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
