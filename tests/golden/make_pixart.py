# SPDX-License-Identifier: MIT
"""PixArt: small random models, their transformer alone, and whole loops.

    python make_pixart.py [NAME ...]      writes models/NAME, and pixart/ beside this script

As make_models.py and make_pipelines.py do for Stable Diffusion: all weights are random but those of
proj_out, which is fitted to predict noise. What the denoiser is told of texts is random too: a few
captions of different lengths, kept with the cases; pipelines are given these instead of a prompt.
Plain runs are diffusers' own pipeline, gated ones tgate's; where tgate has a known fault the loop
below is the reference, which must agree with both where they are sound. README.md describes the
files.
"""

import math
import shutil
import sys
import warnings

import diffusers
import numpy
import sentencepiece
import safetensors.torch
import tgate
import torch
import transformers
from torch.nn import functional as F

import common
from common import Gate, GatedAttention, gate_row, step_of
from pixart_specs import SPECS

warnings.simplefilter("ignore", FutureWarning)

FOLDER = common.HERE / "pixart"
MAX_ERROR, MIN_PSNR, SAME = 1e-4, 38.0, 2e-5
TOKENS = 11  # of a caption; the last ones are padding
LENGTHS = [9, 1, 4, 11]  # of the captions; the second is the usual negative


# ------------------------------------------------------------------------------------ models


# Where a token is outweighs what it shows, so that the last norm leaves its size alone.
GAINS = {"pos_embed.proj": 0.4, "adaln_single.linear": 0.3}


def randomize(network, generator):
    """Fills every parameter; activations stay near unit variance."""
    def uniform(parameter, low, high):
        parameter.copy_(torch.rand(parameter.shape, generator=generator) * (high - low) + low)

    def normal(parameter, deviation):
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)

    for name, module in network.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            gain = 1.5 if name.endswith(("to_q", "to_k")) else GAINS.get(name, 1.0)
            normal(module.weight, gain / math.sqrt(module.weight[0].numel()))
            if module.bias is not None:
                uniform(module.bias, -0.3, 0.3)
        elif isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
            if module.weight is not None:
                uniform(module.weight, 0.7, 1.3)
                uniform(module.bias, -0.3, 0.3)
    for name, parameter in network.named_parameters():
        if name.endswith("scale_shift_table"):
            uniform(parameter, -0.5, 0.5)


def rounded(network, dtype):
    """The nearest values that both dtype and f16 hold."""
    for parameter in network.parameters():
        parameter.copy_(parameter.to(torch.float16).to(dtype).to(torch.float32))


def captions(spec, generator):
    """(text, mask) of LENGTHS captions; what lies behind a caption's end is random too."""
    config = spec["transformer"]
    width = config["caption_channels"] or config["cross_attention_dim"]
    text = torch.randn(len(LENGTHS), TOKENS, width, generator=generator)
    mask = (torch.arange(TOKENS)[None] < torch.tensor(LENGTHS)[:, None]).long()
    return text, mask


def told(transformer, count, height, width):
    if not transformer.use_additional_conditions:
        return {"resolution": None, "aspect_ratio": None}
    dtype = transformer.dtype
    return {"resolution": torch.tensor([[height, width]], dtype=dtype).repeat(count, 1),
            "aspect_ratio": torch.tensor([[float(height / width)]], dtype=dtype).repeat(count, 1)}


def fit_last_layer(transformer, scheduler, text, mask, generator, factor, draws=60):
    """proj_out by ridge regression: noise, over features of the f32 and of the bf16 network."""
    config = transformer.config
    channels, patch = config.in_channels, config.patch_size
    alphas = diffusers.DDPMScheduler.from_config(scheduler.config).alphas_cumprod
    seen = []
    hook = transformer.proj_out.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].double()))
    colour = torch.randn(len(text), channels, generator=generator)
    normal, right = 0.0, 0.0
    for i in range(draws):
        size = [(4, 4), (6, 4), (4, 7)][i % 3]
        h, w = size[0] * patch, size[1] * patch
        which = torch.randint(len(text), (4,), generator=generator)
        smooth = F.interpolate(torch.randn(4, channels, 3, 3, generator=generator), (h, w),
                               mode="bilinear")
        x0 = 0.5 * smooth + 0.3 * colour[which][:, :, None, None]
        x0 = x0 + 0.3 * torch.randn(4, channels, h, w, generator=generator)
        noise = torch.randn(4, channels, h, w, generator=generator)
        t = int(torch.randint(1000, (1,), generator=generator)) if i % 4 else 999
        a, b = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
        weight = min(float(b / a), 60.0)
        wanted = noise.unfold(2, patch, patch).unfold(3, patch, patch)
        wanted = wanted.permute(0, 2, 3, 4, 5, 1).flatten(0, 2).flatten(1).double()
        for dtype in (torch.float32, torch.bfloat16):
            transformer.to(dtype)
            def features(which):
                seen.clear()
                transformer((a * x0 + b * noise).to(dtype),
                            encoder_hidden_states=text[which].to(dtype),
                            encoder_attention_mask=mask[which], timestep=torch.full((4,), t),
                            added_cond_kwargs=told(transformer, 4, h * factor, w * factor))
                rows = seen[0].flatten(0, 1)
                return torch.cat([rows, torch.ones(len(rows), 1).double()], 1)
            rows = features(which)
            differences = 2 * (features(which.flip(0)) - rows)
            normal += weight**2 * (rows.T @ rows + differences.T @ differences)
            right += weight**2 * (rows.T @ wanted)
    hook.remove()
    transformer.to(torch.float32)
    normal += torch.eye(len(normal)).double() * normal.diagonal().mean() * 1e-4
    solved = torch.linalg.solve(normal, right).T.float()
    # (patch, patch, channels): the first channels of each pixel
    out = transformer.out_channels
    rows = torch.arange(patch * patch * out)
    rows = rows[rows % out < channels]
    transformer.proj_out.weight[rows] = solved[:, :-1]
    transformer.proj_out.bias[rows] = solved[:, -1]


def original(tensors, layers):
    """The names of the original code, with its fused projections."""
    ends = {"pos_embed.proj": "x_embedder.proj", "proj_out": "final_layer.linear",
            "caption_projection.linear_1": "y_embedder.y_proj.fc1",
            "caption_projection.linear_2": "y_embedder.y_proj.fc2",
            "adaln_single.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
            "adaln_single.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
            "adaln_single.emb.resolution_embedder.linear_1": "csize_embedder.mlp.0",
            "adaln_single.emb.resolution_embedder.linear_2": "csize_embedder.mlp.2",
            "adaln_single.emb.aspect_ratio_embedder.linear_1": "ar_embedder.mlp.0",
            "adaln_single.emb.aspect_ratio_embedder.linear_2": "ar_embedder.mlp.2",
            "adaln_single.linear": "t_block.1"}
    inner = {"attn1.to_out.0": "attn.proj", "attn2.to_q": "cross_attn.q_linear",
             "attn2.to_out.0": "cross_attn.proj", "ff.net.0.proj": "mlp.fc1",
             "ff.net.2": "mlp.fc2"}
    made = {"final_layer.scale_shift_table": tensors["scale_shift_table"]}
    for end in ("weight", "bias"):
        for ours, theirs in ends.items():
            if f"{ours}.{end}" in tensors:
                made[f"{theirs}.{end}"] = tensors[f"{ours}.{end}"]
        for i in range(layers):
            block = lambda name: tensors[f"transformer_blocks.{i}.{name}.{end}"]
            for ours, theirs in inner.items():
                made[f"blocks.{i}.{theirs}.{end}"] = block(ours)
            made[f"blocks.{i}.attn.qkv.{end}"] = torch.cat(
                [block(f"attn1.to_{x}") for x in "qkv"])
            made[f"blocks.{i}.cross_attn.kv_linear.{end}"] = torch.cat(
                [block(f"attn2.to_{x}") for x in "kv"])
    for i in range(layers):
        name = f"{i}.scale_shift_table"
        made[f"blocks.{name}"] = tensors[f"transformer_blocks.{name}"]
    made["pos_embed"] = torch.zeros(1, 4, 8)
    made["y_embedder.y_embedding"] = torch.zeros(3, 5)
    return {key: value.clone().contiguous() for key, value in made.items()}


def save(tensors, path, dtype):
    tensors = {k: v.to(dtype).contiguous() for k, v in sorted(tensors.items())}
    safetensors.torch.save_file(tensors, path, {"format": "pt"})
    path.chmod(0o644)


# What the tokenizers are trained on.
CORPUS = """a red circle above two green squares on a blue ground, a small house by the sea at night,
seventeen small boats on a wide river at dawn, mist above the water, mountains far behind, a heron
standing in the reeds, soft light, fine detail, muted colours, a village with a church tower on the
other bank, smoke rising from chimneys, and in the sky, hardly visible, the last stars of the night
fading one after another; a cactus with a happy face in the desert, oil painting, photo of a fox"""
PIECES, EXTRA_IDS = 90, 100


def write_text(folder, spec):
    """A T5 of random weights, and a tokenizer of few pieces."""
    generator = torch.Generator().manual_seed(spec["seed"] + 200)
    config = spec["transformer"]
    text = dict(architectures=["T5EncoderModel"], d_ff=52, d_kv=8, num_heads=3, num_layers=2,
                d_model=config.get("caption_channels") or config["cross_attention_dim"],
                dense_act_fn="gelu_new", feed_forward_proj="gated-gelu", is_gated_act=True,
                model_type="t5", relative_attention_max_distance=128,
                relative_attention_num_buckets=32, tie_word_embeddings=False,
                vocab_size=PIECES + EXTRA_IDS + 28, layer_norm_epsilon=1e-06)
    encoder = transformers.T5EncoderModel(transformers.T5Config(**text)).eval()
    for name, p in encoder.named_parameters():
        if "norm" in name:
            p.copy_(torch.rand(p.shape, generator=generator) * 0.6 + 0.7)
        elif "relative" in name or "shared" in name:
            p.copy_(torch.randn(p.shape, generator=generator))
        else:
            gain = 0.5 if name.endswith((".q.weight", ".k.weight")) else 1.0
            p.copy_(torch.randn(p.shape, generator=generator) * gain / math.sqrt(p.shape[1]))
    rounded(encoder, spec["dtype"])
    common.write_json(folder / "text_encoder" / "config.json", text)
    tensors = {k: v for k, v in encoder.state_dict().items() if "embed_tokens" not in k}
    save(tensors, folder / "text_encoder" / "model.safetensors", spec["dtype"])
    (folder / "tokenizer").mkdir(exist_ok=True)
    (folder / "corpus.txt").write_text(CORPUS.replace(",", "\n"))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "spiece"), vocab_size=PIECES,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>",
        normalization_rule_name="identity", num_threads=1, minloglevel=2)
    transformers.T5Tokenizer(str(folder / "spiece.model"), extra_ids=EXTRA_IDS,
                             legacy=True).save_pretrained(folder / "tokenizer")
    for name in ("corpus.txt", "spiece.model", "spiece.vocab"):
        (folder / name).unlink()


def build(name, spec):
    generator = torch.Generator().manual_seed(spec["seed"])
    config = {k: v for k, v in spec["transformer"].items()}
    transformer = diffusers.PixArtTransformer2DModel.from_config(config)
    vae = diffusers.AutoencoderKL.from_config(spec["vae"])
    scheduler = getattr(diffusers, spec["scheduler"]["_class_name"]).from_config(spec["scheduler"])
    factor = 2 ** (len(spec["vae"]["block_out_channels"]) - 1)
    for network in (transformer, vae):
        network.eval().requires_grad_(False)
        randomize(network, generator)
        rounded(network, spec["dtype"])
    text, mask = captions(spec, generator)
    fit_last_layer(transformer, scheduler, text, mask, generator, factor)
    latents = torch.randn(1, vae.config.latent_channels, 8, 8, generator=generator)
    spread = vae.decode(latents / vae.config.scaling_factor).sample.std()
    vae.decoder.conv_out.weight.mul_(0.5 / spread)
    folder = common.MODELS / name
    shutil.rmtree(folder, ignore_errors=True)
    for role, network in (("transformer", transformer), ("vae", vae)):
        rounded(network, spec["dtype"])
        common.write_json(folder / role / "config.json", spec[role])
        save(network.state_dict(), folder / role / "diffusion_pytorch_model.safetensors",
             spec["dtype"])
    common.write_json(folder / "scheduler" / "scheduler_config.json", spec["scheduler"])
    common.write_json(folder / "model_index.json", {
        "_class_name": spec["pipeline"],
        "_diffusers_version": "0.22.0.dev0",
        "scheduler": ["diffusers", spec["scheduler"]["_class_name"]],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", spec["transformer"]["_class_name"]],
        "vae": ["diffusers", "AutoencoderKL"]})
    write_text(folder, spec)
    if spec.get("original"):
        save(original(transformer.state_dict(), spec["transformer"]["num_layers"]),
             common.MODELS / f"{name}-transformer.safetensors", spec["dtype"])
    size = sum(f.stat().st_size for f in folder.rglob("*.*"))
    print(f"{name}: {sum(p.numel() for p in transformer.parameters())} parameters, {size} bytes")


def load(name, dtype=torch.float32):
    spec, folder = SPECS[name], common.MODELS / name
    read = dict(torch_dtype=torch.float32, local_files_only=True)
    pipe = getattr(diffusers, spec["pipeline"])(
        tokenizer=transformers.T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=transformers.T5EncoderModel.from_pretrained(folder / "text_encoder", **read),
        transformer=diffusers.PixArtTransformer2DModel.from_pretrained(folder / "transformer",
                                                                       **read),
        vae=diffusers.AutoencoderKL.from_pretrained(folder / "vae", **read),
        scheduler=getattr(diffusers, spec["scheduler"]["_class_name"]).from_pretrained(
            folder / "scheduler"))
    pipe.set_progress_bar_config(disable=True)
    pipe.transformer.to(dtype)
    return pipe


# ------------------------------------------------------------------------- the transformer alone


def record_networks(name, spec, tensors, cases):
    """Two passes with all that blocks make, one at the size of training."""
    pipe = load(name)
    transformer = pipe.transformer
    generator = torch.Generator().manual_seed(spec["seed"] + 100)
    text, mask = captions(spec, generator)
    patch, channels = transformer.config.patch_size, transformer.config.in_channels
    side = transformer.config.sample_size // patch
    sizes = [(3, 4, 3, 801.0), (1, 5, 7, 13.375), (2, 2, 6, 0.0)]
    if side <= 16:
        sizes.append((1, side, side, 500.0))
    for i, (count, h, w, timestep) in enumerate(sizes):
        prefix = f"{name}.run{i}"
        def keep(what, tensor):
            tensors[f"{prefix}.{what}"] = tensor.detach().clone().float().contiguous()
        names, hooks = [], []
        def watch(module_name):
            def hook(_, args, out):
                names.append(module_name)
                keep(module_name, out[0] if isinstance(out, tuple) else out)
            return hook
        kinds = ("PatchEmbed", "BasicTransformerBlock", "Attention", "FeedForward")
        for module_name, module in transformer.named_modules():
            if type(module).__name__ in kinds and i < 2:
                hooks.append(module.register_forward_hook(watch(module_name)))
        sample = torch.randn(count, channels, h * patch, w * patch, generator=generator)
        out = transformer(sample, encoder_hidden_states=text[:count],
                          encoder_attention_mask=mask[:count],
                          timestep=torch.full((count,), timestep),
                          added_cond_kwargs=told(transformer, count, h * patch * 8 + 3,
                                                 w * patch * 8)).sample
        for hook in hooks:
            hook.remove()
        keep("sample", sample)
        keep("text", text[:count])
        keep("mask", mask[:count])
        keep("out", out[:, :channels])
        cases.append({"name": prefix, "model": name, "timestep": timestep, "count": count,
                      "height": h * patch, "width": w * patch, "tokens": TOKENS,
                      "told_height": h * patch * 8 + 3, "told_width": w * patch * 8,
                      "blocks": " ".join(names)})


# ------------------------------------------------------------------------------------ pipelines

DEFAULTS = {"steps": 9, "guidance": 4.5, "width": 256, "height": 192, "count": 1, "seed": 21,
            "captions": "0", "negative": 1, "prompt": "", "negative_prompt": "", "scheduler": "", "binning": 0,
            "gate_step": 0, "sp_interval": 1, "fi_interval": 1, "warm_up": 0, "picture": 0}


def pipeline_cases():
    def case(model, name, gate=(), **changes):
        assert not set(changes) - set(DEFAULTS), changes
        gated = dict(zip(("gate_step", "sp_interval", "fi_interval", "warm_up"), gate))
        return {"name": f"{model}-{name}", "model": model} | DEFAULTS | gated | changes
    cases = []
    small = {"px4": {"width": 96, "height": 72}, "px3": {"width": 80, "height": 112}}
    for model in SPECS:
        size = small.get(model, {})
        wide = {"width": size.get("width", 256) * 2}
        cases += [
            case(model, "plain", picture=1, **size),
            case(model, "v1", (4,), **size),
            case(model, "v2", (6, 3, 1, 2), **size),
            case(model, "fi", (5, 2, 3, 1), **size | wide),
            case(model, "first", (1,), count=2, captions="0 2", **size),
            case(model, "last", (9, 3, 2, 2), captions="3", negative=2, **size),
            case(model, "never", (12, 2, 2, 2), captions="2", **size),
            case(model, "batch", count=3, captions="0 2 3", **size),
            case(model, "batch-gate", (5, 2, 2, 1), count=3, captions="2 0 3", **size),
            case(model, "unguided", guidance=1.0, count=2, captions="3", **size),
            case(model, "unguided-gate", (3, 2, 2, 1), guidance=0.0, count=2, captions="2 3",
                 **size),
        ]
        names = ["DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "PNDMScheduler",
                 "DEISMultistepScheduler", "UniPCMultistepScheduler", "HeunDiscreteScheduler",
                 "EulerAncestralDiscreteScheduler"]
        for i, scheduler in enumerate(names):
            short = scheduler.removesuffix("Scheduler").lower()
            gate = (5, 2, 2, 1) if i % 2 else (6, 3, 1, 2)
            cases += [case(model, short, scheduler=scheduler, **size),
                      case(model, f"{short}-gate", gate, scheduler=scheduler, **size)]
        cases.append(case(model, "default-gate", (15, 3, 1, 2), steps=25, **size))
        cases.append(case(model, "default-v1", (8,), steps=25, **size))
    for model, edge in (("px1", 1024), ("px2", 512), ("px3", 256)):
        cases += [
            case(model, "bin", binning=1, width=edge, height=edge, steps=4, picture=edge == 256),
            case(model, "bin-wide", binning=1, width=edge * 3 // 2 + 5, height=edge - 7, steps=4,
                 picture=edge == 256),
            case(model, "bin-tall-gate", (2,), binning=1, width=edge // 2, height=edge * 2,
                 steps=4, picture=edge == 256),
            case(model, "bin-small", binning=1, width=edge // 4 + 3, height=edge // 4 - 1,
                 steps=3, picture=1),
        ]
    for model in ("px1", "px3", "px4"):
        size = small.get(model, {})
        cases += [
            case(model, "text", prompt="  A Red FOX, oil painting &amp; 100% fine\t", **size),
            case(model, "text-gate", (5, 2, 2, 1), prompt=CORPUS + CORPUS, count=2,
                 negative_prompt="Night by the sea", **size),
            case(model, "text-unguided", guidance=1.0, prompt="a small house", **size),
        ]
    return cases


def bins_of(pipe):
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha as alpha
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_sigma as sigma
    return {32: alpha.ASPECT_RATIO_256_BIN, 64: alpha.ASPECT_RATIO_512_BIN,
            128: alpha.ASPECT_RATIO_1024_BIN,
            256: sigma.ASPECT_RATIO_2048_BIN}[pipe.transformer.config.sample_size]


def given(pipe, case, spec):
    """The texts of the case: (count, tokens, width) and masks, positive and negative."""
    if case["prompt"]:
        text, mask, negative, negative_mask = pipe.encode_prompt(
            case["prompt"], True, case["negative_prompt"], case["count"], "cpu",
            clean_caption=True, max_sequence_length=120 if "Alpha" in spec["pipeline"] else 300)
        return text, mask, negative, negative_mask
    generator = torch.Generator().manual_seed(spec["seed"] + 100)
    text, mask = captions(spec, generator)
    which = [int(i) for i in case["captions"].split()]
    which = which * case["count"] if len(which) == 1 else which
    without = [case["negative"]] * case["count"]
    return text[which], mask[which], text[without], mask[without]


def prepare(case, dtype):
    pipe = load(case["model"], dtype)
    if case["scheduler"]:
        pipe.scheduler = getattr(diffusers, case["scheduler"]).from_config(pipe.scheduler.config)
    return pipe


def denoise(pipe, case, spec, dtype=torch.float32):
    """Final latents, f64, by T-GATE's rules for every scheduler."""
    transformer, scheduler = pipe.transformer, pipe.scheduler
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    common.draw_noise_in_f32(scheduler)
    cfg = case["guidance"] > 1
    text, mask, negative, negative_mask = given(pipe, case, spec)
    both = torch.cat([negative, text]) if cfg else text
    both_mask = torch.cat([negative_mask, mask]) if cfg else mask
    single, single_mask = (negative, negative_mask) if cfg else (text, mask)
    scheduler.set_timesteps(case["steps"])
    height, width = case["height"], case["width"]
    if case["binning"]:
        height, width = pipe.image_processor.classify_height_width_bin(
            height, width, ratios=bins_of(pipe))
    factor = pipe.vae_scale_factor
    shape = (case["count"], transformer.config.in_channels, height // factor, width // factor)
    sample = common.f32_randn(shape, generator).to(dtype) * scheduler.init_noise_sigma
    extra = pipe.prepare_extra_step_kwargs(generator, 0.0)
    state = {}
    transformer.set_attn_processor(
        {name: GatedAttention(state) for name in transformer.attn_processors})
    gate = Gate(case["gate_step"], case["sp_interval"], case["fi_interval"],
                case["warm_up"]) if case["gate_step"] else None
    evaluations = len(scheduler.timesteps)
    for i, t in enumerate(scheduler.timesteps):
        row = gate_row(gate, step_of(scheduler, i, evaluations, case["steps"]), cfg)
        state["row"] = row
        x = scheduler.scale_model_input(torch.cat([sample] * 2) if row.guided else sample, t)
        rows = len(x)
        out = transformer(
            x.to(transformer.dtype),
            encoder_hidden_states=(both if row.guided else single).to(transformer.dtype),
            encoder_attention_mask=both_mask if row.guided else single_mask,
            timestep=t[None].expand(rows), return_dict=False,
            added_cond_kwargs=told(transformer, rows, height, width))[0].to(dtype)
        if row.guided:
            without, with_text = out.chunk(2)
            out = without + case["guidance"] * (with_text - without)
        out = out[:, :transformer.config.in_channels]
        sample = scheduler.step(out, t, sample, **extra, return_dict=False)[0]
    return sample.double()


def reference(pipe, case, spec):
    """diffusers' or tgate's final latents, and which of them; nothing where neither is sound."""
    told_elsewhere = pipe.transformer.use_additional_conditions and \
        pipe.transformer.config.sample_size != 128
    if told_elsewhere:
        return None, "own loop"
    text, mask, negative, negative_mask = given(pipe, case, spec)
    arguments = {
        "prompt": None, "negative_prompt": None, "prompt_embeds": text,
        "prompt_attention_mask": mask, "negative_prompt_embeds": negative,
        "negative_prompt_attention_mask": negative_mask,
        "num_inference_steps": case["steps"], "guidance_scale": case["guidance"],
        "height": case["height"], "width": case["width"],
        "use_resolution_binning": bool(case["binning"]),
        "generator": torch.Generator("cpu").manual_seed(case["seed"]), "output_type": "latent"}
    if case["prompt"]:
        arguments = {k: v for k, v in arguments.items() if "embeds" not in k and "mask" not in k}
        arguments |= {"prompt": case["prompt"], "negative_prompt": case["negative_prompt"],
                      "num_images_per_prompt": case["count"]}
    if not case["gate_step"]:
        return pipe(**arguments).images, "diffusers"
    pndm = isinstance(pipe.scheduler, diffusers.PNDMScheduler)
    if pipe.scheduler.order != 1 or case["guidance"] <= 1 or pndm:
        return None, "own loop"
    loader = tgate.TgatePixArtAlphaLoader if "Alpha" in spec["pipeline"] else \
        tgate.TgatePixArtSigmaLoader
    gate = {k: case[k] for k in ("gate_step", "sp_interval", "fi_interval", "warm_up")}
    return loader(pipe).tgate(**arguments, **gate).images, "tgate"


def save_npy(name, tensor):
    numpy.save(FOLDER / name, tensor.float().numpy().astype("<f4"))
    return name


def run_case(case):
    spec = SPECS[case["model"]]
    expected, kind = reference(prepare(case, torch.float32), case, spec)
    own = denoise(prepare(case, torch.float32), case, spec)
    difference = 0.0 if expected is None else float((own - expected.double()).abs().max())
    expected = own.float() if expected is None else expected
    wide = denoise(prepare(case, torch.float64), case, spec, torch.float64)
    narrow = denoise(prepare(case, torch.bfloat16), case, spec)
    error = float((wide - expected.double()).abs().max())
    decibels = common.psnr(narrow, expected)
    largest = max(1.0, float(expected.abs().max()))
    admitted = error <= MAX_ERROR * largest and decibels >= MIN_PSNR and \
        difference <= SAME * largest
    print(f"{case['name']:34} {kind:9} std {float(expected.std()):7.3f}  own loop {difference:.1e}"
          f"  f64 {error:.1e}  bf16 {decibels:5.1f} dB", "" if admitted else "REFUSED", flush=True)
    if not admitted:
        return None
    files = {"latents": save_npy(f"{case['name']}.npy", expected), "picture": ""}
    if case["picture"]:
        pipe = load(case["model"])
        picture = pipe.vae.decode(expected / pipe.vae.config.scaling_factor).sample
        if case["binning"]:
            picture = pipe.image_processor.resize_and_crop_tensor(picture, case["width"],
                                                                  case["height"])
        files["picture"] = save_npy(f"{case['name']}.picture.npy", picture)
    return case | files | {"reference": kind, "own_loop_difference": float(f"{difference:.2g}"),
                           "f64_error": float(f"{error:.2g}"), "bf16_psnr": round(decibels, 1)}


def record_bins():
    """Every request of a few hundred, and the bin that it falls into."""
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha as alpha
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_sigma as sigma
    processor = diffusers.image_processor.PixArtImageProcessor
    tables = {32: alpha.ASPECT_RATIO_256_BIN, 64: alpha.ASPECT_RATIO_512_BIN,
              128: alpha.ASPECT_RATIO_1024_BIN, 256: sigma.ASPECT_RATIO_2048_BIN}
    generator = torch.Generator().manual_seed(5)
    lines = []
    for size, table in tables.items():
        asked = [(int(h), int(w)) for h, w in table.values()]
        asked += [(h, w) for h in (1, 100, 512, 1000, 4096) for w in (1, 99, 512, 1024, 5000)]
        # Half way between two of them, the first in the table wins.
        ratios = sorted(float(r) for r in table)
        asked += [(round(50000 * (a + b) / 100) * 10, 10000) for a, b in zip(ratios, ratios[1:])]
        asked += [tuple(int(x) for x in torch.randint(1, 4097, (2,), generator=generator))
                  for _ in range(150)]
        for height, width in asked:
            h, w = processor.classify_height_width_bin(height, width, ratios=table)
            lines.append({"sample_size": size, "height": height, "width": width, "bin_height": h,
                          "bin_width": w})
    common.write_cases(FOLDER / "bins.json", lines)


def main(names):
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        build(name, SPECS[name])
    tensors, cases = {}, []
    for name, spec in SPECS.items():
        record_networks(name, spec, tensors, cases)
        generator = torch.Generator().manual_seed(spec["seed"] + 100)
        text, mask = captions(spec, generator)
        tensors |= {f"{name}.text": text, f"{name}.mask": mask.float()}
    safetensors.torch.save_file(tensors, FOLDER / "networks.safetensors")
    (FOLDER / "networks.safetensors").chmod(0o644)
    common.write_cases(FOLDER / "networks.json", cases)
    record_bins()
    cases = pipeline_cases()
    order = {case["name"]: i for i, case in enumerate(cases)}
    for case in cases:
        if case["model"] in names:
            for stale in FOLDER.glob(f"{case['name']}.*npy"):
                stale.unlink()
    lines = [run_case(case) for case in cases if case["model"] in names]
    manifest = FOLDER / "cases.json"
    kept = [line for line in (common.read_json(manifest) if manifest.exists() else [])
            if line["model"] not in names and line["name"] in order]
    admitted = kept + [line for line in lines if line]
    common.write_cases(manifest, sorted(admitted, key=lambda line: order[line["name"]]))
    print(f"{len(lines) - lines.count(None)} cases admitted, {lines.count(None)} refused")
    return 1 if None in lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SPECS)))
