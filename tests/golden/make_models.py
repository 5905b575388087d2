# SPDX-License-Identifier: MIT
"""Small random Stable Diffusion pipelines of realistic structure, for make_pipelines.py.

    python make_models.py [NAME ...]          writes models/NAME/ beside this script

Every weight and bias is random, those of the norms too, so that none can be forgotten without a
failure. Only the UNet's conv_out is fitted: ridge regression makes it predict the noise of noisy
smooth pictures whose mean depends on the prompt, so that the denoising loop contracts instead of
blowing up, and still depends on the text. All weights are rounded to f16 (to bf16 for a model
stored so): a model's files hold the same values whatever they are stored as.
"""

import math
import shutil
import sys

import diffusers
import safetensors.torch
import torch
import transformers
from torch.nn import functional as F

import common
import original_keys
from specs import SPECS

TOKENIZER = common.HERE.parent.parent / "models" / "demo" / "tokenizer"


# ---------------------------------------------------------------------------- random weights


def randomize(network, generator):
    """Fills every parameter; activations stay near unit variance."""
    def uniform(parameter, low, high):
        parameter.copy_(torch.rand(parameter.shape, generator=generator) * (high - low) + low)

    def normal(parameter, deviation):
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)

    for name, module in network.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            # Sharper scores: attention that looks at something.
            gain = 1.5 if name.endswith(("to_q", "to_k", "q_proj", "k_proj")) else 1.0
            normal(module.weight, gain / math.sqrt(module.weight[0].numel()))
            if module.bias is not None:
                uniform(module.bias, -0.3, 0.3)
        elif isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
            uniform(module.weight, 0.7, 1.3)
            uniform(module.bias, -0.3, 0.3)
        elif isinstance(module, torch.nn.Embedding):
            normal(module.weight, 1.0 if "token" in name else 0.5)


def round_to(network, dtype):
    """The nearest values that both dtype and f16 hold."""
    for parameter in network.parameters():
        parameter.copy_(parameter.to(torch.float16).to(dtype).to(torch.float32))


# ------------------------------------------------------------------------ the fitted last layer


class Examples:
    """Noisy pictures, and what the network should say about them."""

    def __init__(self, pipe, spec, generator):
        self.pipe, self.spec, self.generator = pipe, spec, generator
        requests = [common.Request(prompt=p, guidance=1, sizes=self.sizes()) for p in
                    self.prompts(60)]
        told = [common.conditions(pipe, request)[1] for request in requests]
        if spec.get("force_zeros"):
            told += [self.zeros(t) for t in told[::6]]
        self.text = torch.cat([t["encoder_hidden_states"] for t in told])
        self.added = {key: torch.cat([t["added_cond_kwargs"][key] for t in told])
                      for key in told[0].get("added_cond_kwargs", {})}
        about = self.text - self.text.mean(0)
        channels = spec["unet"]["in_channels"]
        to_colour = torch.randn(about[0].numel(), channels, generator=generator)
        colour = about.flatten(1) @ to_colour
        self.colour = colour / colour.std()
        betas = diffusers.DDPMScheduler.from_config(pipe.scheduler.config)
        self.alphas = betas.alphas_cumprod

    def randn(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def sizes(self):
        """What XL may be told of a picture; the picture's own size in half of them."""
        pick = lambda high: int(torch.randint(high, (1,), generator=self.generator))
        if "text_2" not in self.spec or pick(2):
            return (0,) * 6
        return tuple(16 + pick(128) if i not in (2, 3) else pick(48) for i in range(6))

    def zeros(self, told):
        """No text at all."""
        added = told["added_cond_kwargs"]
        return {"encoder_hidden_states": torch.zeros_like(told["encoder_hidden_states"]),
                "added_cond_kwargs": added | {"text_embeds": torch.zeros_like(
                    added["text_embeds"])}}

    def prompts(self, n):
        """The empty prompt, and prompts of a few random words."""
        vocabulary = sorted(self.pipe.tokenizer.get_vocab())
        words = [w[:-4] for w in vocabulary if w.endswith("</w>") and len(w) > 6]
        def pick(high):
            return int(torch.randint(high, (1,), generator=self.generator))
        return [""] + [" ".join(words[pick(len(words))] for _ in range(1 + pick(12)))
                       for _ in range(n - 1)]

    def draw(self, n, height, width):
        """(input, timestep, which texts, target, weight) for n pictures that share a timestep."""
        channels = self.spec["unet"]["in_channels"]
        which = torch.randint(len(self.text), (n,), generator=self.generator)
        smooth = F.interpolate(self.randn(n, channels, 3, 3), (height, width), mode="bilinear")
        x0 = 0.5 * smooth + self.spec["text_weight"] * self.colour[which][:, :, None, None]
        x0 = x0 + 0.3 * self.randn(n, channels, height, width)
        noise = self.randn(n, channels, height, width)
        t = int(torch.randint(1000, (1,), generator=self.generator))
        a, b = self.alphas[t].sqrt(), (1 - self.alphas[t]).sqrt()
        targets = {"epsilon": noise, "v_prediction": a * noise - b * x0, "sample": x0}
        kind = self.pipe.scheduler.config.prediction_type
        # How far a mistake moves the picture.
        weight = 1.0 if kind == "sample" else min(float(b / a.clamp(min=1e-3)), 8.0)
        return a * x0 + b * noise, t, which, targets[kind], weight

    def conditions(self, which, dtype):
        """The network's arguments that say which texts these are."""
        arguments = {"encoder_hidden_states": self.text[which].to(dtype)}
        if self.added:
            arguments["added_cond_kwargs"] = {k: v[which].to(dtype) for k, v in self.added.items()}
        return arguments


RIDGE = 1e-5  # of the mean square of a feature


def fit_last_layer(pipe, spec, generator, batches=90, per_batch=6):
    """Solves for conv_out: output = target, over features of the f32 and of the bf16 network (so
    that what rounding disturbs gets little weight). Guidance amplifies what two texts disagree
    about, so a difference between them counts as a mistake too, times spec["caution"]."""
    examples = Examples(pipe, spec, generator)
    conv = pipe.unet.conv_out
    kernel = conv.weight.shape[-1]
    seen = []
    hook = conv.register_forward_pre_hook(lambda _, args: seen.append(args[0].float()))

    def features(given, t, which):
        seen.clear()
        dtype = pipe.unet.dtype
        guidance = common.guidance_embedding(pipe, 1 + t % 12, len(which))
        told = {} if guidance is None else {"timestep_cond": guidance.to(dtype)}
        pipe.unet(given.to(dtype), t, **examples.conditions(which, dtype), **told)
        columns = F.unfold(seen[0], kernel, padding=(kernel - 1) // 2)
        columns = columns.transpose(1, 2).flatten(0, 1).double()
        return torch.cat([columns, torch.ones(len(columns), 1).double()], 1)

    normal, right = 0.0, 0.0
    draws = [examples.draw(per_batch, *size) for size in spec["fit_sizes"]
             for _ in range(batches // len(spec["fit_sizes"]))]
    for dtype in (torch.float32, torch.bfloat16):
        pipe.unet.to(dtype)
        for given, t, which, target, weight in draws:
            rows = features(given, t, which)
            differences = spec["caution"] * (features(given, t, which.flip(0)) - rows)
            wanted = target.permute(0, 2, 3, 1).flatten(0, 2).double()
            normal += weight**2 * (rows.T @ rows + differences.T @ differences)
            right += weight**2 * (rows.T @ wanted)
    hook.remove()
    pipe.unet.to(torch.float32)
    normal += torch.eye(len(normal)).double() * normal.diagonal().mean() * RIDGE
    solved = torch.linalg.solve(normal, right).T.float()
    conv.weight.copy_(solved[:, :-1].reshape(conv.weight.shape))
    conv.bias.copy_(solved[:, -1])


def scale_pictures(pipe, generator):
    """Pictures that fill about -1 to 1."""
    conv = pipe.vae.decoder.conv_out
    latents = torch.randn(2, pipe.vae.config.latent_channels, 8, 8, generator=generator)
    spread = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample.std()
    conv.weight.mul_(0.5 / spread)


# ------------------------------------------------------------------------------------- files


def write_tokenizer(folder, spec, pad_token):
    """The demo model's vocabulary, with this model's context and this padding."""
    folder.mkdir(parents=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    config = common.read_json(TOKENIZER / "tokenizer_config.json")
    special = common.read_json(TOKENIZER / "special_tokens_map.json")
    config["model_max_length"] = spec["text"]["max_position_embeddings"]
    if pad_token != "<|endoftext|>":
        # As published for 2.x: the padding is named in the map of special tokens alone.
        del config["added_tokens_decoder"]
        special["pad_token"] = pad_token
    common.write_json(folder / "tokenizer_config.json", config)
    common.write_json(folder / "special_tokens_map.json", special)


def save(tensors, path):
    safetensors.torch.save_file(tensors, path, {"format": "pt"})
    path.chmod(0o644)


def write_weights(folder, stem, tensors, storage):
    """One file, or shards with an index; with a variant's name or without."""
    tensors = {k: v.to(storage["dtype"]).contiguous() if v.is_floating_point() else v
               for k, v in sorted(tensors.items())}
    shards = storage.get("shards", 1)
    variant = storage.get("variant", "")
    if shards == 1:
        name = f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"
        save(tensors, folder / name)
        return
    names = list(tensors)
    weight_map = {}
    for i in range(shards):
        part = names[i * len(names) // shards:(i + 1) * len(names) // shards]
        name = f"{stem}-{i + 1:05}-of-{shards:05}.safetensors"
        save({k: tensors[k] for k in part}, folder / name)
        weight_map |= dict.fromkeys(part, name)
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    common.write_json(folder / f"{stem}.safetensors.index.json",
                      {"metadata": {"total_size": total}, "weight_map": weight_map})


def old_attention_names(tensors):
    """The VAE's attention as diffusers named it before 0.18."""
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    def rename(key):
        for new, old in renamed.items():
            if f".attentions.0.{new}." in key:
                return key.replace(f".{new}.", f".{old}.")
        return key
    return {rename(key): value for key, value in tensors.items()}


def write_folder(folder, spec, pipe):
    shutil.rmtree(folder, ignore_errors=True)
    networks = {"unet": (pipe.unet, "unet", "diffusion_pytorch_model"),
                "vae": (pipe.vae, "vae", "diffusion_pytorch_model"),
                "text_encoder": (pipe.text_encoder, "text", "model")}
    if "text_2" in spec:
        networks["text_encoder_2"] = (pipe.text_encoder_2, "text_2", "model")
    for name, (network, key, stem) in networks.items():
        common.write_json(folder / name / "config.json", spec[key])
        tensors = network.state_dict()
        if name == "vae" and spec.get("old_vae_names"):
            tensors = old_attention_names(tensors)
        if name == "text_encoder" and spec.get("position_ids"):
            context = spec["text"]["max_position_embeddings"]
            tensors["text_model.embeddings.position_ids"] = torch.arange(context)[None]
        storage = spec["storage"] | spec.get("storage_of", {}).get(name, {})
        write_weights(folder / name, stem, tensors, storage)
    common.write_json(folder / "scheduler" / "scheduler_config.json", spec["scheduler"])
    if "text_2" in spec:
        own = {"force_zeros_for_empty_prompt": spec["force_zeros"],
               "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
               "tokenizer_2": ["transformers", "CLIPTokenizer"]}
        write_tokenizer(folder / "tokenizer_2", spec, spec["pad_token_2"])
    else:
        own = {"feature_extractor": [None, None],
               "requires_safety_checker": False,
               "safety_checker": [None, None]}
    common.write_json(folder / "model_index.json", {
        "_class_name": spec.get("pipeline", "StableDiffusionPipeline"),
        "_diffusers_version": spec["version"]} | own | {
        "scheduler": ["diffusers", spec["scheduler"]["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"]})
    write_tokenizer(folder / "tokenizer", spec, spec["pad_token"])


# -------------------------------------------------------------------------------------- main


def new_pipeline(scratch, spec):
    """Of the spec's networks, whose weights are diffusers' own."""
    parts = dict(
        unet=diffusers.UNet2DConditionModel.from_config(spec["unet"]),
        vae=diffusers.AutoencoderKL.from_config(spec["vae"]),
        text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(**spec["text"])),
        tokenizer=transformers.CLIPTokenizer.from_pretrained(scratch / "tokenizer"),
        scheduler=getattr(diffusers, spec["scheduler"]["_class_name"]).from_config(
            spec["scheduler"]))
    if "text_2" not in spec:
        return getattr(diffusers, spec.get("pipeline", "StableDiffusionPipeline"))(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    return diffusers.StableDiffusionXLPipeline(
        **parts,
        text_encoder_2=transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig(**spec["text_2"])),
        tokenizer_2=transformers.CLIPTokenizer.from_pretrained(scratch / "tokenizer_2"),
        force_zeros_for_empty_prompt=spec["force_zeros"], add_watermarker=False)


def build(name, spec):
    generator = torch.Generator().manual_seed(spec["seed"])
    scratch = common.MODELS / name
    shutil.rmtree(scratch, ignore_errors=True)
    write_tokenizer(scratch / "tokenizer", spec, spec["pad_token"])
    if "text_2" in spec:
        write_tokenizer(scratch / "tokenizer_2", spec, spec["pad_token_2"])
    pipe = new_pipeline(scratch, spec)
    networks = [pipe.text_encoder, pipe.unet, pipe.vae]
    if "text_2" in spec:
        networks.append(pipe.text_encoder_2)
    for network in networks:
        network.eval().requires_grad_(False)
        randomize(network, generator)
        round_to(network, spec["storage"]["dtype"])
    fit_last_layer(pipe, spec, generator)
    scale_pictures(pipe, generator)
    for network in networks:
        round_to(network, spec["storage"]["dtype"])
    write_folder(common.MODELS / name, spec, pipe)
    if "single_file" in spec:
        original_keys.write(common.MODELS / f"{name}.safetensors", spec, pipe)
    count = sum(p.numel() for network in networks for p in network.parameters())
    size = sum(f.stat().st_size for f in (common.MODELS / name).rglob("*.*"))
    print(f"{name}: {count} parameters, {size} bytes")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SPECS:
        build(chosen, SPECS[chosen])
