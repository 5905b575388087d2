# SPDX-License-Identifier: MIT
"""What make_models.py and make_pipelines.py share: loading a golden model, drawing noise in f32,
and a denoising loop of our own that follows T-GATE's rules for every scheduler."""

import dataclasses
import json
import pathlib
import sys

import diffusers
import numpy
import torch
import transformers
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.schedulers import scheduling_dpmsolver_singlestep as dpmsolver_singlestep
from diffusers.utils.torch_utils import randn_tensor

PINNED = {torch: "2.13.0", diffusers: "0.30.3", transformers: "4.44.2"}
for module, version in PINNED.items():
    assert module.__version__.split("+")[0] == version, f"{module.__name__} {module.__version__}"

torch.set_num_threads(1)
torch.set_grad_enabled(False)
diffusers.utils.logging.set_verbosity_error()
transformers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE / "models"


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_cases(path, cases):
    """A JSON array with one flat object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    path.write_text(f"[\n{lines}\n]\n")


def read_json(path):
    return json.loads(path.read_text())


def is_xl(pipe):
    return hasattr(pipe, "text_encoder_2")


def load(name, dtype=torch.float32):
    """A golden model as a fresh pipeline."""
    name_of_class = read_json(MODELS / name / "model_index.json")["_class_name"]
    xl = "XL" in name_of_class
    kind = diffusers.StableDiffusionXLPipeline if xl else getattr(diffusers, name_of_class)
    pipe = kind.from_pretrained(
        MODELS / name,
        variant="fp16" if list((MODELS / name / "unet").glob("*.fp16.*")) else None,
        torch_dtype=torch.float32,
        **{"add_watermarker": False} if xl else {},
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(dtype)


def guidance_embedding(pipe, guidance, count):
    """What a UNet with a guidance embedding is told, for count pictures; None for others."""
    width = pipe.unet.config.time_cond_proj_dim
    if width is None:
        return None
    w = torch.tensor(float(guidance) - 1).repeat(count)
    return pipe.get_guidance_scale_embedding(w, embedding_dim=width)


# ------------------------------------------------------------------------------------- noise


def f32_randn(shape, generator=None, device=None, dtype=None, layout=None):
    """Noise is always drawn in f32, whatever the precision of a run."""
    return randn_tensor(shape, generator=generator, dtype=torch.float32).to(dtype)


def draw_noise_in_f32(scheduler):
    """Changes nothing for f32."""
    module = sys.modules[type(scheduler).__module__]
    if hasattr(module, "randn_tensor"):
        module.randn_tensor = f32_randn


class Numpy:
    """numpy for a module that hands a torch tensor to linspace: this numpy then answers with a
    tensor, which the module cannot turn around."""

    def __getattr__(self, name):
        return getattr(numpy, name)

    def linspace(self, start, stop, count, **kwargs):
        return numpy.linspace(start, float(stop), count, **kwargs)


dpmsolver_singlestep.np = Numpy()


# ---------------------------------------------------------------------------------- the gate


@dataclasses.dataclass
class Gate:
    gate_step: int
    sp_interval: int = 1
    fi_interval: int = 1
    warm_up: int = 0


@dataclasses.dataclass
class Row:
    """What one evaluation does; cross and self are "compute", "store" or "reuse"."""

    guided: bool
    cross: str = "compute"
    self: str = "compute"
    halve: bool = False  # what is stored is the mean of both halves of the batch


def gate_row(gate, step, cfg):
    """One row of T-GATE's table."""
    if gate is None or step < 0:
        return Row(cfg)
    every = lambda interval: "store" if step % interval == 0 else "reuse"
    if step < gate.gate_step - 1:
        if step < gate.warm_up:
            return Row(cfg)
        return Row(cfg, self="store" if step == gate.warm_up else every(gate.sp_interval))
    if step == gate.gate_step - 1:
        return Row(cfg, cross="store", self="store", halve=cfg)
    return Row(False, cross="reuse", self=every(gate.fi_interval))


def step_of(scheduler, evaluation, evaluations, steps):
    """The inference step that an evaluation of the network belongs to."""
    if isinstance(scheduler, diffusers.PNDMScheduler):
        return evaluation - (evaluations - steps)
    return evaluation // scheduler.order


class GatedAttention:
    """An attention processor that obeys the row of the evaluation under way."""

    def __init__(self, state):
        self.state = state
        self.stored = None
        self.compute = AttnProcessor2_0()

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
        row = self.state["row"]
        mode = row.self if encoder_hidden_states is None else row.cross
        if mode == "reuse" and self.stored is not None:
            return self.stored
        out = self.compute(attn, hidden_states, encoder_hidden_states, **kwargs)
        if mode == "store":
            self.stored = out.chunk(2)[0].add(out.chunk(2)[1]).div(2) if row.halve else out
        return out


# ---------------------------------------------------------------------------------- DeepCache


@dataclasses.dataclass
class Branch:
    """Where DeepCache cuts, as its package counts: blocks from the finest, a block's layers of the
    way up from its end."""

    interval: int
    number: int = 0

    def is_deep(self, down, block, layer):
        if block != self.number // 3:
            return block > self.number // 3
        return layer >= self.number % 3 if down else layer > self.number % 3


class Nothing(torch.nn.Module):
    """A mid block that is not there: what goes through it is a deep feature all the same."""

    def forward(self, sample, *args, **kwargs):
        return sample


class DeepCache:
    """DeepCache for an evaluation's index instead of its timestep, which may repeat: on shallow
    evaluations the deep parts of a UNet hand out what they made last."""

    def __init__(self, unet, branch, gate):
        self.branch, self.gate = branch, gate
        self.first, self.full, self.made = None, True, {}
        blocks = len(unet.up_blocks)
        for block, part in enumerate(unet.down_blocks):
            self.watch(part, branch.is_deep(True, block, 0))
            self.watch_layers(part, lambda i, block=block: branch.is_deep(True, block, i))
        unet.mid_block = unet.mid_block or Nothing()
        self.watch(unet.mid_block, True)
        for i, part in enumerate(unet.up_blocks):
            block, last = blocks - 1 - i, len(part.resnets) - 1
            self.watch(part, branch.is_deep(False, block, 0))
            self.watch_layers(part, lambda j, block=block, last=last:
                              branch.is_deep(False, block, last - j))

    def watch_layers(self, part, is_deep):
        for layers in (part.resnets, getattr(part, "attentions", None) or []):
            for i, layer in enumerate(layers):
                self.watch(layer, is_deep(i))

    def watch(self, module, deep):
        if not deep:
            return
        compute = module.forward

        def forward(*args, **kwargs):
            if self.full:
                self.made[module] = compute(*args, **kwargs)
            return self.made[module]

        module.forward = forward

    def begin(self, evaluation, step):
        """Counting starts anew at each evaluation of the two steps around the gate."""
        drops = self.gate and step in (self.gate.gate_step - 1, self.gate.gate_step)
        self.first = evaluation if self.first is None or drops else self.first
        self.full = (evaluation - self.first) % self.branch.interval == 0


# ---------------------------------------------------------------------------------- the loop


@dataclasses.dataclass
class Request:
    prompt: str = "a red circle"
    negative: str = ""
    clip_skip: int = 0
    steps: int = 10
    guidance: float = 5.0
    rescale: float = 0.0
    height: int = 64
    width: int = 64
    count: int = 1
    seed: int = 0
    gate: Gate | None = None
    start: torch.Tensor | None = None  # unit noise; nothing is drawn for it then
    eta: float = 0.0
    original: int = 0  # original_inference_steps; 0: the scheduler's
    timesteps: tuple = ()
    branch: Branch | None = None  # DeepCache
    # Of XL. Sizes: original width, height, crop's top, left, target width, height; 0: the picture's.
    prompt_2: str | None = None
    negative_2: str | None = None
    sizes: tuple = (0,) * 6
    negative_sizes: tuple = (0,) * 6


def is_guided(pipe, request):
    """Whether there is classifier-free guidance at all."""
    return request.guidance > 1 and pipe.unet.config.time_cond_proj_dim is None


def set_timesteps(scheduler, request):
    how = {"timesteps": list(request.timesteps)} if request.timesteps else {
        "num_inference_steps": request.steps}
    if request.original:
        how["original_inference_steps"] = request.original
    scheduler.set_timesteps(**how)


def size_arguments(sizes, prefix=""):
    """The same as diffusers' arguments; 0 is None."""
    sizes = sizes or (0,) * 6
    pair = lambda width, height: (height, width) if width else None
    return {f"{prefix}original_size": pair(*sizes[:2]),
            f"{prefix}crops_coords_top_left": tuple(sizes[2:4]),
            f"{prefix}target_size": pair(*sizes[4:])}


def time_ids(request, cfg, dtype):
    """Of a guided batch and of a single one, as diffusers and tgate hand them to the network."""
    usual = (request.height, request.width)
    def row(original_size, crops_coords_top_left, target_size):
        return torch.tensor([(original_size or usual) + crops_coords_top_left +
                             (target_size or usual)], dtype=dtype)
    positive = row(**size_arguments(request.sizes))
    own = request.negative_sizes[0] and request.negative_sizes[4]
    negative = row(**size_arguments(request.negative_sizes)) if own else positive
    both = torch.cat([negative, positive]) if cfg else positive
    return both.repeat(request.count, 1), (negative if cfg else positive).repeat(request.count, 1)


def conditions(pipe, request):
    """What the network is told besides sample and timestep: the arguments of a guided batch, and of
    a single one."""
    cfg = is_guided(pipe, request)
    # transformers makes its mask in the default type from a bound of the network's type.
    wide = pipe.text_encoder.dtype == torch.float64
    torch.set_default_dtype(torch.float64 if wide else torch.float32)
    skip = {"clip_skip": request.clip_skip or None}
    if is_xl(pipe):
        positive, negative, pooled, pooled_negative = pipe.encode_prompt(
            request.prompt, request.prompt_2, "cpu", request.count, cfg, request.negative,
            request.negative_2, **skip)
    else:
        positive, negative = pipe.encode_prompt(
            request.prompt, "cpu", request.count, cfg, request.negative, **skip)
    torch.set_default_dtype(torch.float32)
    def told(name, positive, negative):
        return ({name: torch.cat([negative, positive]) if cfg else positive},
                {name: negative if cfg else positive})
    both, single = told("encoder_hidden_states", positive, negative)
    if is_xl(pipe):
        ids = time_ids(request, cfg, positive.dtype)
        texts = told("text_embeds", pooled, pooled_negative)
        for arguments, text, numbers in zip((both, single), texts, ids):
            arguments["added_cond_kwargs"] = text | {"time_ids": numbers}
    if pipe.unet.config.time_cond_proj_dim is not None:
        single["timestep_cond"] = guidance_embedding(pipe, request.guidance, request.count).to(
            pipe.unet.dtype)
    return both, single


def denoise(pipe, request, dtype=torch.float32):
    """Final latents, f64. The networks run in the pipeline's own precision; samples and the
    scheduler's arithmetic are in dtype."""
    unet, scheduler = pipe.unet, pipe.scheduler
    generator = torch.Generator("cpu").manual_seed(request.seed)
    draw_noise_in_f32(scheduler)
    cfg = is_guided(pipe, request)
    both, single = conditions(pipe, request)
    set_timesteps(scheduler, request)
    factor = pipe.vae_scale_factor
    shape = (request.count, unet.config.in_channels, request.height // factor,
             request.width // factor)
    start = f32_randn(shape, generator) if request.start is None else request.start
    sample = start.to(dtype) * scheduler.init_noise_sigma
    extra = pipe.prepare_extra_step_kwargs(generator, request.eta)
    state = {}
    unet.set_attn_processor({name: GatedAttention(state) for name in unet.attn_processors})
    cache = DeepCache(unet, request.branch, request.gate) if request.branch else None
    evaluations = len(scheduler.timesteps)
    for i, t in enumerate(scheduler.timesteps):
        step = step_of(scheduler, i, evaluations, request.steps)
        row = gate_row(request.gate, step, cfg)
        if cache:
            cache.begin(i, step)
        state["row"] = row
        given = torch.cat([sample] * 2) if row.guided else sample
        given = scheduler.scale_model_input(given, t)
        out = unet(given.to(unet.dtype), t, **both if row.guided else single,
                   return_dict=False)[0].to(dtype)
        if row.guided:
            without, with_text = out.chunk(2)
            out = without + request.guidance * (with_text - without)
            if request.rescale > 0:
                out = rescale_noise_cfg(out, with_text, request.rescale)
        sample = scheduler.step(out, t, sample, **extra, return_dict=False)[0]
    return sample.double()


def psnr(found, expected):
    """Decibels; the peak is the range of the expected values."""
    error = (found.double() - expected.double()).square().mean().sqrt()
    return float(20 * torch.log10((expected.max() - expected.min()).double() / error))


def with_scheduler(pipe, name, karras=-1, prediction="", spacing=""):
    """The pipeline with a scheduler of another class, and these keys of its config changed."""
    changes = {"use_karras_sigmas": bool(karras)} if karras >= 0 else {}
    if prediction:
        changes["prediction_type"] = prediction
    if spacing:
        changes["timestep_spacing"] = spacing
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **changes)
    return pipe
