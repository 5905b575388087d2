# SPDX-License-Identifier: MIT
"""Reference results on the golden models: each network alone, then whole pipelines.

    python make_pipelines.py [NAME ...]       models or cases, also as patterns; writes modules/ and
                                              pipelines/ beside this script


Plain runs are diffusers' own pipeline, gated ones tgate's, those with DeepCache its package's, alone
or under tgate's, each on a freshly loaded model (all keep state between calls). Where one has a
known fault (solvers with two evaluations a step, no guidance, timesteps that repeat, no mid block)
the expectation is the loop in common.py, which must agree with the references wherever they are
sound. A case is admitted only if f32 and f64 agree within 1e-4 and bf16 networks reach
38 dB; both figures are kept with it. README.md describes the files.
"""

import copy
import dataclasses
import fnmatch
import sys
import warnings

import diffusers
import numpy
import safetensors.torch
import tgate
import tgate.SD
import torch
from DeepCache import DeepCacheSDHelper
from tgate.tgate_utils import tgate_scheduler

import common
from cases import MODULE_TEXTS, pipeline_cases
from common import Branch, Gate, Request
from specs import SPECS

warnings.simplefilter("ignore", FutureWarning)

MODULES = common.HERE / "modules"
PIPELINES = common.HERE / "pipelines"
MAX_ERROR, MIN_PSNR, SAME = 1e-4, 38.0, 2e-5


# ----------------------------------------------------------------------------------- modules


class Recorder:
    """Tensors by name, for one model."""

    def __init__(self, model):
        self.model, self.tensors, self.cases = model, {}, []

    def keep(self, name, tensor):
        if tensor.is_floating_point():
            tensor = tensor.float()
        self.tensors[name] = tensor.detach().clone().contiguous()

    def case(self, name, kind, **fields):
        self.cases.append({"name": f"{self.model}.{name}", "model": self.model, "kind": kind,
                           "prefix": name} | fields)


def watch(recorder, prefix, network, inner):
    """Keeps the outputs of a network's blocks, and of what they are made of where inner is set;
    returns the names and the hooks."""
    kinds = {"Conv2d", "GroupNorm", "UNetMidBlock2D", "UNetMidBlock2DCrossAttn",
             "TimestepEmbedding"}
    parts = {"ResnetBlock2D", "Transformer2DModel", "Downsample2D", "Upsample2D", "Attention"}
    names, hooks = [], []

    def keep(name):
        def hook(_, args, out):
            names.append(name)
            recorder.keep(f"{prefix}.{name}", out[0] if isinstance(out, tuple) else out)
        return hook

    for name, module in network.named_modules():
        kind = type(module).__name__
        top = name.count(".") == 0 and kind in kinds
        block = name.count(".") == 1 and name.split(".")[0] in ("down_blocks", "up_blocks")
        part = inner and kind in parts and "transformer_blocks" not in name
        if top or block or part:
            hooks.append(module.register_forward_hook(keep(name)))
    return names, hooks


def record_text(recorder, pipe):
    for i, (prompt, clip_skip) in enumerate(MODULE_TEXTS):
        name = f"text{i}"
        tokens = pipe.tokenizer(prompt, padding="max_length", truncation=True,
                                max_length=pipe.tokenizer.model_max_length, return_tensors="pt")
        states = pipe.encode_prompt(prompt, "cpu", 1, False, clip_skip=clip_skip or None)[0]
        recorder.keep(f"{name}.ids", tokens.input_ids.int())
        recorder.keep(f"{name}.hidden", states)
        recorder.case(name, "text", prompt=prompt, clip_skip=clip_skip)


def record_states(recorder, pipe):
    """XL's text encoders: hidden states before the final norm, and the projected pooled state."""
    encoders = {"text_encoder": (pipe.tokenizer, pipe.text_encoder),
                "text_encoder_2": (pipe.tokenizer_2, pipe.text_encoder_2)}
    for role, (tokenizer, encoder) in encoders.items():
        for i, (prompt, clip_skip) in enumerate(MODULE_TEXTS[:3] + [("a red circle", 1)]):
            name = f"{role}.{i}"
            ids = tokenizer(prompt, padding="max_length", truncation=True,
                            max_length=tokenizer.model_max_length, return_tensors="pt").input_ids
            out = encoder(ids, output_hidden_states=True)
            recorder.keep(f"{name}.ids", ids.int())
            recorder.keep(f"{name}.hidden", out.hidden_states[-(clip_skip + 2)])
            if role == "text_encoder_2":
                recorder.keep(f"{name}.pooled", out.text_embeds)
            end = int((ids == tokenizer.eos_token_id).int().argmax())
            recorder.case(name, "states", role=role, prompt=prompt, skip=1 + clip_skip, end=end)


def record_unet(recorder, pipe, generator):
    """Two whole forward passes at even sizes, one at an odd size and a fractional timestep."""
    channels = pipe.unet.config.in_channels
    for i, (count, height, width, timestep) in enumerate(
            [(2, 12, 8, 801.0), (1, 11, 9, 13.375), (3, 6, 10, 0.0)]):
        name = f"unet{i}"
        sample = torch.randn(count, channels, height, width, generator=generator)
        told = [common.conditions(pipe, common.Request(
            prompt=prompt, guidance=1, sizes=(100 * j + 50, 64, 5 * j, 7, 0, 0)))[1]
                for j, (prompt, _) in enumerate(MODULE_TEXTS[:count])]
        text = torch.cat([t["encoder_hidden_states"] for t in told])
        added = {key: torch.cat([t["added_cond_kwargs"][key] for t in told])
                 for key in told[0].get("added_cond_kwargs", {})}
        names, hooks = watch(recorder, name, pipe.unet, inner=i == 0) if i < 2 else ([], [])
        guidance = common.guidance_embedding(pipe, 8.5 - 4 * i, count)
        out = pipe.unet(sample, torch.tensor(timestep), text, timestep_cond=guidance,
                        added_cond_kwargs=added).sample
        for hook in hooks:
            hook.remove()
        recorder.keep(f"{name}.sample", sample)
        recorder.keep(f"{name}.text", text)
        if guidance is not None:
            recorder.keep(f"{name}.guidance", guidance[0])
        for key, tensor in added.items():
            recorder.keep(f"{name}.{key}", tensor)
        recorder.keep(f"{name}.out", out)
        recorder.case(name, "unet", timestep=timestep, count=count, height=height, width=width,
                      blocks=" ".join(names))


def record_vae(recorder, pipe, generator):
    vae = pipe.vae
    factor = pipe.vae_scale_factor
    for i, (count, height, width) in enumerate([(1, 4, 4), (2, 3, 5)]):
        name = f"decode{i}"
        latents = torch.randn(count, vae.config.latent_channels, height, width,
                              generator=generator)
        names, hooks = watch(recorder, name, vae.decoder, inner=True) if i == 0 else ([], [])
        picture = vae.decode(latents / vae.config.scaling_factor).sample
        for hook in hooks:
            hook.remove()
        recorder.keep(f"{name}.latents", latents)
        recorder.keep(f"{name}.picture", picture)
        recorder.case(name, "decode", count=count, height=height, width=width,
                      blocks=" ".join(names))
    for i, (count, height, width) in enumerate([(1, 4 * factor, 6 * factor), (1, 70, 101)]):
        name = f"encode{i}"
        picture = torch.rand(count, vae.config.in_channels, height, width,
                             generator=generator) * 2 - 1
        names, hooks = watch(recorder, name, vae.encoder, inner=False) if i == 0 else ([], [])
        latents = vae.encode(picture).latent_dist.mean * vae.config.scaling_factor
        for hook in hooks:
            hook.remove()
        recorder.keep(f"{name}.picture", picture)
        recorder.keep(f"{name}.latents", latents)
        recorder.case(name, "encode", count=count, height=height, width=width,
                      blocks=" ".join(names))


def record_modules(model):
    pipe = common.load(model)
    generator = torch.Generator().manual_seed(SPECS[model]["seed"] + 100)
    recorder = Recorder(model)
    (record_states if common.is_xl(pipe) else record_text)(recorder, pipe)
    record_unet(recorder, pipe, generator)
    record_vae(recorder, pipe, generator)
    MODULES.mkdir(exist_ok=True)
    safetensors.torch.save_file(recorder.tensors, MODULES / f"{model}.safetensors")
    (MODULES / f"{model}.safetensors").chmod(0o644)
    common.write_cases(MODULES / f"{model}.json", recorder.cases)


# --------------------------------------------------------------------------------- pipelines


def prepare(case, dtype):
    """A fresh pipeline whose text encoder and UNet compute in dtype."""
    pipe = common.load(case["model"])
    if case["scheduler"] or case["karras"] >= 0 or case["prediction"] or case["spacing"]:
        name = case["scheduler"] or type(pipe.scheduler).__name__
        common.with_scheduler(pipe, name, case["karras"], case["prediction"], case["spacing"])
    for network in ("text_encoder", "text_encoder_2", "unet"):
        if hasattr(pipe, network):
            getattr(pipe, network).to(dtype)
    return pipe


def request_of(case):
    gate = Gate(case["gate_step"], case["sp_interval"], case["fi_interval"], case["warm_up"])
    fields = {f.name: case[f.name] for f in dataclasses.fields(Request) if f.name in case}
    interval = case.get("deepcache_interval", 0)
    branch = Branch(interval, case["deepcache_branch"]) if interval else None
    return Request(**fields | {"gate": gate if case["gate_step"] else None, "start": start(case),
                               "branch": branch})


def start(case):
    """Noise that does not come from the case's seed, if the case wants that."""
    if not case["start"]:
        return None
    generator = torch.Generator().manual_seed(case["seed"] + 1000)
    unet = SPECS[case["model"]]["unet"]
    return torch.randn(case["count"], unet["in_channels"], case["height"] // 8,
                       case["width"] // 8, generator=generator)


def sound(pipe, case):
    """Whether tgate's package computes this case as documented."""
    told = pipe.unet.config.time_cond_proj_dim is not None
    return pipe.scheduler.order == 1 and (case["guidance"] > 1 or told)


def keep_whole(kept):
    """tgate's rule with the flag lcm of its loader for SDXL, which the others lack: without
    guidance there are no halves."""
    def schedule(**row):
        cross, own, _ = tgate_scheduler(**row)
        return cross, own, True
    tgate.SD.tgate_scheduler = schedule if kept else tgate_scheduler


def consistency_reference(pipe, case, arguments):
    """LatentConsistencyModelPipeline's own call, which takes no other scheduler and no gate."""
    for name in ("negative_prompt", "guidance_rescale", "eta"):
        del arguments[name]
    return pipe(**arguments, original_inference_steps=case["original"] or None).images, "diffusers"


def stable_pipeline(pipe, case):
    """The same model as StableDiffusionPipeline, with the scheduler as it is: making the pipeline
    changes the one that it is given."""
    kept = copy.deepcopy(pipe.scheduler)
    stable = diffusers.StableDiffusionPipeline(**pipe.components, requires_safety_checker=False)
    stable.scheduler = kept
    stable.set_progress_bar_config(disable=True)
    if case["original"]:
        stable.scheduler.register_to_config(original_inference_steps=case["original"])
    return stable


def deepcache_is_sound(pipe, case):
    """Whether DeepCache's package finds every evaluation by its timestep, and what it patches, and
    tgate's loader for it works: it knows no model with a guidance embedding."""
    pipe.scheduler.set_timesteps(case["steps"])
    timesteps = pipe.scheduler.timesteps.tolist()
    told = pipe.unet.config.time_cond_proj_dim is not None
    return (len(set(timesteps)) == len(timesteps) and pipe.unet.mid_block is not None and
            not (told and case["gate_step"]))


def reference(pipe, case):
    """diffusers' or tgate's final latents, and which of them; nothing where neither is sound."""
    arguments = {
        "timesteps": case["timesteps"] or None, "eta": case["eta"],
        "prompt": case["prompt"], "negative_prompt": case["negative"],
        "num_inference_steps": case["steps"], "guidance_scale": case["guidance"],
        "guidance_rescale": case["rescale"], "height": case["height"], "width": case["width"],
        "num_images_per_prompt": case["count"], "clip_skip": case["clip_skip"] or None,
        "generator": torch.Generator("cpu").manual_seed(case["seed"]), "output_type": "latent",
        "latents": start(case)}
    interval, branch = case.get("deepcache_interval", 0), case.get("deepcache_branch", 0)
    consistency = isinstance(pipe, diffusers.LatentConsistencyModelPipeline)
    if consistency and not case["gate_step"] and not case["scheduler"] and not interval:
        return consistency_reference(pipe, case, arguments)
    if consistency or case["original"]:
        pipe = stable_pipeline(pipe, case)
    if common.is_xl(pipe):
        arguments |= {"prompt_2": case["prompt_2"], "negative_prompt_2": case["negative_2"],
                      **common.size_arguments(case["sizes"]),
                      **common.size_arguments(case["negative_sizes"], "negative_")}
    if ((interval and not deepcache_is_sound(pipe, case)) or
            (case["gate_step"] and not sound(pipe, case))):
        return None, "own loop"
    if not case["gate_step"] and interval:
        helper = DeepCacheSDHelper(pipe)
        helper.set_params(cache_interval=interval, cache_branch_id=branch)
        helper.enable()
        return pipe(**arguments).images, "DeepCache"
    if not case["gate_step"]:
        return pipe(**arguments).images, "diffusers"
    keep_whole(pipe.unet.config.time_cond_proj_dim is not None)
    if interval:
        loader = tgate.TgateSDXLDeepCacheLoader if common.is_xl(pipe) else tgate.TgateSDDeepCacheLoader
        pipe = loader(pipe, interval, branch)
    else:
        pipe = (tgate.TgateSDXLLoader if common.is_xl(pipe) else tgate.TgateSDLoader)(pipe)
    gate = {k: case[k] for k in ("gate_step", "sp_interval", "fi_interval", "warm_up")}
    return pipe.tgate(**arguments, **gate).images, "tgate"


def save_npy(name, tensor):
    PIPELINES.mkdir(exist_ok=True)
    numpy.save(PIPELINES / name, tensor.float().numpy().astype("<f4"))
    return name


def run_case(case):
    """Writes the case's files; returns its line of the manifest."""
    pipe = prepare(case, torch.float32)
    expected, kind = reference(pipe, case)
    own = common.denoise(prepare(case, torch.float32), request_of(case))
    difference = 0.0 if expected is None else float((own - expected.double()).abs().max())
    expected = own.float() if expected is None else expected
    wide = common.denoise(prepare(case, torch.float64), request_of(case), torch.float64)
    narrow = common.denoise(prepare(case, torch.bfloat16), request_of(case))
    error = float((wide - expected.double()).abs().max())
    decibels = common.psnr(narrow, expected)
    admitted = error <= MAX_ERROR and decibels >= MIN_PSNR and difference <= SAME
    print(f"{case['name']:34} {kind:9} std {float(expected.std()):7.3f}  own loop {difference:.1e}"
          f"  f64 {error:.1e}  bf16 {decibels:5.1f} dB", "" if admitted else "REFUSED", flush=True)
    if not admitted:
        return None
    files = {"start": "", "latents": save_npy(f"{case['name']}.npy", expected), "picture": ""}
    if case["start"]:
        files["start"] = save_npy(f"{case['name']}.start.npy", start(case))
    if case["decode"]:
        scale = pipe.vae.config.scaling_factor
        picture = common.load(case["model"]).vae.decode(expected / scale).sample
        files["picture"] = save_npy(f"{case['name']}.picture.npy", picture)
    kept = {k: v for k, v in case.items() if k != "decode"}
    return kept | files | {"reference": kind, "own_loop_difference": float(f"{difference:.2g}"),
                           "f64_error": float(f"{error:.2g}"), "bf16_psnr": round(decibels, 1)}


def main(names):
    """Names are models' (all of them anew) or cases', or patterns of these."""
    for model in SPECS.keys() & set(names):
        record_modules(model)
        for stale in PIPELINES.glob(f"{model}-*.npy"):
            stale.unlink()
    cases = pipeline_cases()
    order = {case["name"]: i for i, case in enumerate(cases)}
    wanted = [case for case in cases if case["model"] in names or
              any(fnmatch.fnmatch(case["name"], name) for name in names)]
    lines = [run_case(case) for case in wanted]
    manifest = PIPELINES / "cases.json"
    anew = {case["name"] for case in wanted}
    kept = [line for line in (common.read_json(manifest) if manifest.exists() else [])
            if line["name"] not in anew and line["name"] in order]
    admitted = kept + [line for line in lines if line]
    common.write_cases(manifest, sorted(admitted, key=lambda line: order[line["name"]]))
    refused = lines.count(None)
    print(f"{len(lines) - refused} cases admitted, {refused} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SPECS)))
