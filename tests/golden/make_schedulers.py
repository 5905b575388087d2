# SPDX-License-Identifier: MIT
"""Goldens for tests/unit/test_schedulers.c: whole denoising loops with every scheduler.

The network is a formula (see network below), latents and noise are a hash of their place (see
normals), so that only results have to be kept.

Pinned: diffusers 0.30.3, torch 2.13.0, numpy 2.4.6, scipy 1.17.1 (requirements.txt).
    python make_schedulers.py

schedulers/cases.jsonl: a JSON object a line:
    file        the scheduler's config as in a folder
    class       the class to switch to ("" for none), as diffusers names it
    short       the name by which the test asks for it
    karras      -1, or what use_karras_sigmas is replaced by
    prediction  "", or what prediction_type is replaced by
    force       whether StableDiffusionPipeline has been given the folder's scheduler
    steps
    and where they are given: spacing (what timestep_spacing is replaced by), eta, original
    (original_inference_steps), timesteps (a list in place of steps)
schedulers/values.f32: for each case in turn, little-endian f32:
    evaluations (-1 if diffusers fails or its result is not finite; then nothing else),
    draws (of noise), init_noise_sigma, each evaluation's timestep, the final sample
"""

import importlib
import json
import math
import pathlib
import random
import warnings

import diffusers
import numpy
import scipy
import torch

PINNED = {torch: "2.13.0", diffusers: "0.30.3", numpy: "2.4.6", scipy: "1.17.1"}
for module, version in PINNED.items():
    assert module.__version__.split("+")[0] == version, f"{module.__name__} {module.__version__}"

HERE = pathlib.Path(__file__).resolve().parent / "schedulers"
SHAPE = (2, 4, 3, 4)

torch.set_num_threads(1)
torch.set_grad_enabled(False)
diffusers.utils.logging.set_verbosity(50)
warnings.simplefilter("ignore")


def normals(draw):
    """Values of unit variance."""
    with numpy.errstate(over="ignore"):
        h = numpy.arange(math.prod(SHAPE), dtype=numpy.uint32) * numpy.uint32(0x85EBCA77)
        h += numpy.uint32((draw * 0x9E3779B1 + 12345) % 2**32)
        h ^= h >> numpy.uint32(15)
        h *= numpy.uint32(0x2C1B3C6D)
        h ^= h >> numpy.uint32(12)
        h *= numpy.uint32(0x297A2D39)
        h ^= h >> numpy.uint32(15)
    values = (h.astype(numpy.float64) / 2**32 - 0.5) * math.sqrt(12)
    return torch.from_numpy(values.astype(numpy.float32)).reshape(SHAPE)


def network(x, t):
    return 0.7 * x / (1 + 0.1 * x * x) + 0.05 * (t.to(torch.float32) / 1000)


class Draws:
    """Stands in for randn_tensor in the schedulers; draw 0 is the latents'."""

    count = 0

    def __call__(self, shape, generator=None, device=None, dtype=None, layout=None):
        assert tuple(shape) == SHAPE and dtype in (None, torch.float32)
        self.count += 1
        return normals(self.count)


draws = Draws()
for name in ("ddim", "ddpm", "euler_discrete", "euler_ancestral_discrete",
             "dpmsolver_multistep", "dpmsolver_singlestep", "lcm", "tcd"):
    importlib.import_module(f"diffusers.schedulers.scheduling_{name}").randn_tensor = draws



class Numpy:
    """numpy for DPMSolverSinglestepScheduler, which gives linspace an integer in a tensor: there
    numpy 2.4 and torch 2.13 no longer understand each other."""

    def __getattr__(self, name):
        return getattr(numpy, name)

    @staticmethod
    def linspace(start, stop, *args, **more):
        return numpy.linspace(start, int(stop), *args, **more)


diffusers.schedulers.scheduling_dpmsolver_singlestep.np = Numpy()

UNET = diffusers.UNet2DConditionModel(
    sample_size=64,
    block_out_channels=(8, 8), norm_num_groups=4, cross_attention_dim=8, attention_head_dim=2,
    down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"))
VAE = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)


def make(case):
    """The scheduler that diffusers makes of a case."""
    scheduler = getattr(diffusers, case["file"]["_class_name"]).from_config(dict(case["file"]))
    if case["force"]:
        scheduler = diffusers.StableDiffusionPipeline(
            VAE, None, None, UNET, scheduler, None, None, requires_safety_checker=False).scheduler
    changes = {}
    if case["karras"] >= 0:
        changes["use_karras_sigmas"] = bool(case["karras"])
    if case["prediction"]:
        changes["prediction_type"] = case["prediction"]
    if case.get("spacing"):
        changes["timestep_spacing"] = case["spacing"]
    if case["short"] == "dpmpp-2m-sde":
        changes["algorithm_type"] = "sde-dpmsolver++"
    if case["class"] or changes:
        wanted = case["class"] or type(scheduler).__name__
        scheduler = getattr(diffusers, wanted).from_config(scheduler.config, **changes)
    return scheduler


def run(case):
    """What values.f32 holds for a case."""
    scheduler = make(case)
    how = {"timesteps": case["timesteps"]} if "timesteps" in case else {
        "num_inference_steps": case["steps"]}
    if "original" in case:
        how["original_inference_steps"] = case["original"]
    scheduler.set_timesteps(**how)
    takes = scheduler.step.__code__.co_varnames
    extra = {"generator": None} if "generator" in takes else {}
    if "eta" in takes:
        extra["eta"] = case.get("eta", 0.0)
    else:
        assert "eta" not in case
    draws.count = 0
    sample = normals(0) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        output = network(scheduler.scale_model_input(sample, t), t)
        sample = scheduler.step(output, t, sample, return_dict=False, **extra)[0]
    if not torch.isfinite(sample).all():
        raise ArithmeticError("not finite")
    # Euler draws noise that it does not use.
    count = 0 if isinstance(scheduler, diffusers.EulerDiscreteScheduler) else draws.count
    times = scheduler.timesteps.to(torch.float32).numpy()
    head = [len(times), count, float(scheduler.init_noise_sigma)]
    return numpy.concatenate([head, times, sample.numpy().reshape(-1)]).astype("<f4")


# ------------------------------------------------------------------------------------- the cases

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
      "num_train_timesteps": 1000, "steps_offset": 1, "clip_sample": False,
      "set_alpha_to_one": False, "skip_prk_steps": True, "trained_betas": None}
SPACINGS = ("leading", "linspace", "trailing")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
TRAINED = [round(0.002 + 0.0003 * i * (1 + i % 3), 4) for i in range(60)]

# What is varied for a class beside its defaults; each with SD's keys and three numbers of steps.
VARIANTS = {
    "DDIM": [{"set_alpha_to_one": True}, {"clip_sample": True},
             {"clip_sample": True, "clip_sample_range": 0.4}, {"thresholding": True},
             {"thresholding": True, "dynamic_thresholding_ratio": 0.7, "sample_max_value": 3},
             {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 30},
             {"thresholding": True, "dynamic_thresholding_ratio": 1, "sample_max_value": 30},
             {"thresholding": True, "sample_max_value": 0.5, "clip_sample": True},
             {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
              "timestep_spacing": "trailing"},
             {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
             {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
              "clip_sample": True},
             {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
              "clip_sample": True, "thresholding": True},
             {"steps_offset": 0}, {"steps_offset": 7}, {"steps_offset": -1},
             {"steps_offset": 100000}],
    "DDPM": [{"variance_type": v} for v in ("fixed_small", "fixed_small_log", "fixed_large",
                                            "fixed_large_log", "learned", "learned_range", None)]
            + [{"clip_sample": True}, {"thresholding": True}, {"beta_schedule": "sigmoid"},
               {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
                "timestep_spacing": "trailing"}],
    "PNDM": [{"skip_prk_steps": False}, {"set_alpha_to_one": True},
             {"skip_prk_steps": False, "prediction_type": "v_prediction"},
             {"skip_prk_steps": False, "timestep_spacing": "trailing"},
             {"skip_prk_steps": False, "timestep_spacing": "linspace"},
             {"steps_offset": 0}, {"steps_offset": 400}],
    "LMSDiscrete": [{"use_karras_sigmas": True}, {"use_karras_sigmas": None},
                    {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5},
                    {"use_karras_sigmas": True, "timestep_spacing": "leading"}],
    "EulerDiscrete": [{"use_karras_sigmas": True},
                      {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5},
                      {"use_karras_sigmas": True, "sigma_max": 50},
                      {"sigma_min": 0.1, "sigma_max": 5}, {"interpolation_type": "log_linear"},
                      {"interpolation_type": "log_linear", "use_karras_sigmas": True},
                      {"interpolation_type": "log_linear", "timestep_type": "continuous",
                       "prediction_type": "v_prediction"},
                      {"timestep_type": "continuous", "prediction_type": "v_prediction"},
                      {"timestep_type": "continuous", "prediction_type": "v_prediction",
                       "use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
                      {"timestep_type": "continuous"}, {"final_sigmas_type": "sigma_min"},
                      {"prediction_type": "original_sample"}, {"rescale_betas_zero_snr": True},
                      {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
                       "timestep_spacing": "trailing"}, {"steps_offset": 500}],
    "EulerAncestralDiscrete": [{"rescale_betas_zero_snr": True,
                                "prediction_type": "v_prediction",
                                "timestep_spacing": "trailing"}],
    "HeunDiscrete": [{"use_karras_sigmas": True}, {"clip_sample": True},
                     {"clip_sample": True, "clip_sample_range": 2.5}, {"beta_schedule": "exp"},
                     {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5}],
    "KDPM2Discrete": [{"use_karras_sigmas": True},
                      {"use_karras_sigmas": True, "timestep_spacing": "trailing"},
                      {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5}],
    "DPMSolverMultistep":
        [{"algorithm_type": a, "solver_order": o, "solver_type": s, "final_sigmas_type": f}
         for a in ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++")
         for o in (1, 2, 3) for s in ("midpoint", "heun") for f in ("zero", "sigma_min")
         if not (a.endswith("r") and f == "zero" and (o, s) != (2, "heun"))]
        + [{"algorithm_type": a, "final_sigmas_type": "sigma_min", "prediction_type": p, **more}
           for a in ("dpmsolver", "sde-dpmsolver++")
           for p in ("v_prediction", "sample") for more in ({}, {"thresholding": True})]
        + [{"use_karras_sigmas": True}, {"use_lu_lambdas": True},
           {"use_karras_sigmas": True, "use_lu_lambdas": True},
           {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
           {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min", "solver_type": "heun"},
           {"use_lu_lambdas": True, "solver_order": 3},
           {"use_lu_lambdas": True, "rescale_betas_zero_snr": True, "beta_start": 0.001,
            "beta_end": 0.02}, {"euler_at_final": True},
           {"euler_at_final": True, "final_sigmas_type": "sigma_min", "lower_order_final": False},
           {"lower_order_final": False}, {"lower_order_final": False, "solver_order": 3},
           {"lambda_min_clipped": -5.1}, {"lambda_min_clipped": -1.5},
           {"lambda_min_clipped": -1.5, "timestep_spacing": "leading"},
           {"lambda_min_clipped": -1.5, "timestep_spacing": "trailing"},
           {"lambda_min_clipped": -1.5, "use_karras_sigmas": True},
           {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
           {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True},
           {"lambda_min_clipped": 20}, {"thresholding": True}, {"solver_order": 4},
           {"thresholding": True, "dynamic_thresholding_ratio": 0.95, "sample_max_value": 30},
           {"algorithm_type": "deis"},
           {"algorithm_type": "deis", "final_sigmas_type": "sigma_min"},
           {"solver_type": "logrho"}, {"solver_type": "bh1"}, {"variance_type": "learned"},
           {"variance_type": "learned_range", "prediction_type": "sample"},
           {"variance_type": "fixed_small"}, {"rescale_betas_zero_snr": True},
           {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
            "timestep_spacing": "trailing"},
           {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5},
           {"final_sigmas_type": "middle"}, {"algorithm_type": "other"}, {"solver_order": 0},
           {"solver_type": "other"}],
    "DPMSolverSinglestep":
        [{"algorithm_type": a, "solver_order": o, "solver_type": s, "final_sigmas_type": f}
         for a in ("dpmsolver", "dpmsolver++", "sde-dpmsolver++")
         for o in (1, 2, 3) for s in ("midpoint", "heun") for f in ("zero", "sigma_min")
         if not (a.endswith("r") and f == "zero" and (o, s) != (2, "heun"))]
        + [{"use_karras_sigmas": True}, {"use_karras_sigmas": True, "solver_order": 3},
           {"lower_order_final": True, "final_sigmas_type": "sigma_min", "solver_order": 3},
           {"lower_order_final": True, "final_sigmas_type": "sigma_min"},
           {"lambda_min_clipped": -1.5}, {"thresholding": True},
           {"thresholding": True, "algorithm_type": "dpmsolver",
            "final_sigmas_type": "sigma_min"},
           {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min",
            "prediction_type": "sample"},
           {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"},
           {"algorithm_type": "deis"}, {"solver_type": "bh2"}, {"solver_order": 4},
           {"timestep_spacing": "leading"}],
    "UniPCMultistep":
        [{"solver_order": o, "solver_type": s, "predict_x0": x, "final_sigmas_type": f}
         for o in (1, 2, 3, 4) for s in ("bh1", "bh2") for x in (True, False)
         for f in ("zero", "sigma_min") if x or f == "sigma_min" or (o, s) == (2, "bh2")]
        + [{"predict_x0": False, "final_sigmas_type": "sigma_min", "prediction_type": p}
           for p in ("v_prediction", "sample")]
        + [{"use_karras_sigmas": True},
           {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
           {"use_karras_sigmas": True, "solver_order": 3},
           {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5,
            "final_sigmas_type": "sigma_min"},
           {"disable_corrector": [0]}, {"disable_corrector": [0, 1, 3, -4, 99]},
           {"disable_corrector": list(range(30))},
           {"lower_order_final": False, "final_sigmas_type": "sigma_min", "solver_order": 3},
           {"lower_order_final": False}, {"thresholding": True},
           {"thresholding": True, "predict_x0": False, "final_sigmas_type": "sigma_min"},
           {"solver_type": "midpoint"}, {"solver_type": "other"}, {"solver_order": 6},
           {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
            "timestep_spacing": "trailing"}],
    "DEISMultistep":
        [{"solver_order": o, "lower_order_final": f} for o in (1, 2, 3, 4) for f in (True, False)]
        + [{"use_karras_sigmas": True}, {"use_karras_sigmas": True, "solver_order": 3},
           {"use_karras_sigmas": True, "lower_order_final": False},
           {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 5},
           {"thresholding": True}, {"algorithm_type": "dpmsolver"},
           {"algorithm_type": "sde-dpmsolver++"}, {"solver_type": "heun"},
           {"solver_type": "other"}],
    "LCM": [{"clip_sample": True}, {"clip_sample": True, "clip_sample_range": 0.4},
            {"thresholding": True},
            {"thresholding": True, "dynamic_thresholding_ratio": 0.7, "sample_max_value": 3},
            {"thresholding": True, "clip_sample": True}, {"set_alpha_to_one": True},
            {"timestep_scaling": 1}, {"timestep_scaling": 0.003}, {"timestep_scaling": 0},
            {"timestep_scaling": -7.5}, {"original_inference_steps": 8},
            {"original_inference_steps": 30}, {"original_inference_steps": 1000},
            {"original_inference_steps": 2000}, {"steps_offset": 400},
            {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
            {"rescale_betas_zero_snr": True},
            {"rescale_betas_zero_snr": True, "clip_sample": True},
            {"rescale_betas_zero_snr": True, "prediction_type": "sample"}],
    "TCD": [{"clip_sample": True}, {"thresholding": True}, {"set_alpha_to_one": True},
            {"timestep_scaling": 3}, {"original_inference_steps": 8},
            {"original_inference_steps": 1000}, {"original_inference_steps": 2000},
            {"steps_offset": 400},
            {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
            {"rescale_betas_zero_snr": True},
            {"rescale_betas_zero_snr": True, "prediction_type": "sample"}],
}

SWITCHES = [
    {**SD, "_class_name": "PNDMScheduler"},
    {"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear"},
    {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear",
     "timestep_spacing": "leading"},
    {**SD, "_class_name": "DDIMScheduler", "clip_sample": True, "steps_offset": 0,
     "prediction_type": "v_prediction"},
    {**SD, "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing",
     "sigma_min": 0.05, "sigma_max": 9.0, "use_karras_sigmas": True},
    {**SD, "_class_name": "DEISMultistepScheduler", "solver_type": "heun", "solver_order": 3,
     "algorithm_type": "dpmsolver"},
    {**SD, "_class_name": "UniPCMultistepScheduler", "solver_type": "heun", "solver_order": 3,
     "final_sigmas_type": "sigma_min"},
    {**SD, "_class_name": "DPMSolverMultistepScheduler", "solver_type": "bh1",
     "algorithm_type": "sde-dpmsolver++", "lambda_min_clipped": -math.inf},
    {**SD, "_class_name": "DPMSolverMultistepScheduler", "solver_type": "heun",
     "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "lower_order_final": False},
    {**SD, "_class_name": "DPMSolverSinglestepScheduler"},
    {**SD, "_class_name": "KDPM2AncestralDiscreteScheduler", "use_karras_sigmas": True},
    {"_class_name": "HeunDiscreteScheduler"},
]

SHORT = {"DDIM": "ddim", "DDPM": "ddpm", "PNDM": "pndm", "LMSDiscrete": "lms",
         "EulerDiscrete": "euler", "EulerAncestralDiscrete": "euler-a", "HeunDiscrete": "heun",
         "KDPM2Discrete": "dpm2", "DPMSolverMultistep": "dpmpp-2m",
         "DPMSolverSinglestep": "dpmpp-2s", "UniPCMultistep": "unipc", "DEISMultistep": "deis",
         "LCM": "lcm", "TCD": "tcd"}
WITHOUT_KARRAS = ("DD", "PNDM", "EulerA", "LCM", "TCD")


def case(file, steps, name="", karras=-1, prediction="", force=False, short=None):
    return {"file": file, "class": name and name + "Scheduler",
            "short": SHORT.get(name, "") if short is None else short, "karras": karras,
            "prediction": prediction, "force": force, "steps": steps}


def cases_of(name):
    def file(*parts):
        merged = {"_class_name": name + "Scheduler"}
        for part in parts:
            merged.update(part)
        return merged

    for steps in (1, 2, 3, 4, 7, 25, 100):
        yield case(file(), steps)
    for spacing in SPACINGS:
        for prediction in PREDICTIONS:
            for steps in (2, 10, 25):
                yield case(file(SD, {"timestep_spacing": spacing, "prediction_type": prediction}),
                           steps)
        yield case(file(SD, {"timestep_spacing": spacing}), 61)
    yield case(file(SD), 1000)
    for betas in ({"beta_schedule": "squaredcos_cap_v2"}, {"beta_schedule": "sigmoid"},
                  {"beta_schedule": "exp"}, {"trained_betas": TRAINED},
                  {"trained_betas": TRAINED, "num_train_timesteps": 60},
                  {"num_train_timesteps": 77}, {"num_train_timesteps": 1},
                  {"beta_start": 0, "beta_end": 0.9999}):
        for steps in (1, 20):
            yield case(file(SD, betas), steps)
    for variant in VARIANTS[name]:
        for steps in (3, 8, 24):
            yield case(file(SD, variant), steps)
    for steps in (5, 20):
        yield case(file(SD, {"clip_sample": True, "steps_offset": 0}), steps, force=True)
        yield case(file(), steps, force=True)
        if not name.startswith(WITHOUT_KARRAS):
            yield case(file(SD), steps, karras=1)
        yield case(file(SD), steps, prediction="v_prediction", force=True)


LISTS = ([999], [0], [999, 759, 499, 259], [990, 700, 20, 0], [980, 700, 333, 77, 12, 3],
         [999, 845, 730, 587, 443, 310, 193, 116, 53, 13, 0], list(range(970, 10, -60)))


def requests_of(name, rng):
    """What a request asks of the class beside its steps."""
    file = SD | {"_class_name": name + "Scheduler"}
    if name not in ("DPMSolverSinglestep",):
        for spacing in SPACINGS:
            for steps in (1, 4, 8):
                yield case(file, steps, force=True) | {"spacing": spacing}
            yield case(file | {"timestep_spacing": "linspace"}, 5) | {"spacing": spacing}
            yield case({"_class_name": "PNDMScheduler"}, 6, name, force=True) | {
                "spacing": spacing}
    if name in ("DDIM", "TCD"):
        for eta in (0.0, 0.3, 0.55, 1.0):
            for steps in (1, 2, 4, 9, 20):
                for prediction in PREDICTIONS:
                    yield case(file | {"prediction_type": prediction}, steps) | {"eta": eta}
        for keys in ({"thresholding": True}, {"clip_sample": True}, {"set_alpha_to_one": True},
                     {"timestep_spacing": "trailing"}, {"trained_betas": TRAINED}):
            yield case(file | keys, 6) | {"eta": 0.7}
    if name in ("LCM", "TCD"):
        for original in (1, 4, 7, 50, 77, 333, 1000, 1001):
            for steps in (1, 2, 4, 5, 8, 51):
                yield case(file, steps) | {"original": original}
    if name in ("DDPM", "DPMSolverMultistep", "DPMSolverSinglestep", "EulerDiscrete",
                "HeunDiscrete", "LCM", "TCD"):
        lists = LISTS + tuple(sorted(rng.sample(range(1000), rng.randrange(1, 20)), reverse=True)
                              for _ in range(12))
        for i, timesteps in enumerate(lists):
            keys = {"prediction_type": PREDICTIONS[i % 3], "thresholding": i % 5 == 4,
                    "timestep_spacing": SPACINGS[i % 2 * 2],
                    # The third order takes differences of neighbours, and of their differences.
                    "solver_order": 3 if i in (2, 5, 6) else 2}
            one = case(file | keys, len(timesteps)) | {"timesteps": timesteps}
            yield one | ({"eta": 0.4} if name == "TCD" and i % 2 else {})
            if name in ("LCM", "TCD") and i % 3 == 0:
                yield one | {"original": 20}
        for keys in ({"interpolation_type": "log_linear"}, {"use_karras_sigmas": True},
                     {"timestep_type": "continuous", "prediction_type": "v_prediction"},
                     {"final_sigmas_type": "sigma_min"}, {"lambda_min_clipped": -2.0},
                     {"use_lu_lambdas": True}, {"algorithm_type": "sde-dpmsolver++"},
                     {"trained_betas": TRAINED, "num_train_timesteps": 60}):
            if "trained_betas" not in keys:  # some classes then take what is out of range
                yield case(file | keys, 4) | {"timesteps": [999, 759, 499, 259]}
            yield case(file | keys, 4) | {"timesteps": [59, 40, 22, 3]}


def random_case(name, rng):
    """Any keys of the two distilled classes."""
    train = rng.choice((1000, 1000, 500, 77))
    pick = {"prediction_type": rng.choice(PREDICTIONS), "thresholding": rng.random() < 0.2,
            "clip_sample": rng.random() < 0.3, "clip_sample_range": round(rng.uniform(0.3, 3), 2),
            "dynamic_thresholding_ratio": round(rng.uniform(0.5, 1), 3),
            "sample_max_value": round(rng.uniform(0.5, 5), 2), "num_train_timesteps": train,
            "set_alpha_to_one": rng.random() < 0.5, "steps_offset": rng.randrange(3),
            "original_inference_steps": rng.randrange(10, min(train, 200)),
            "beta_schedule": rng.choice(("linear", "scaled_linear", "squaredcos_cap_v2")),
            "timestep_scaling": round(rng.uniform(0.01, 20), 3)}
    keys = rng.sample(sorted(pick), rng.randrange(2, len(pick)))
    one = case({"_class_name": name + "Scheduler"} | {k: pick[k] for k in keys},
               rng.randrange(1, 12), force=rng.random() < 0.5)
    most = one["file"].get("num_train_timesteps", 1000)
    if rng.random() < 0.3:
        one["original"] = rng.randrange(5, most)
    if rng.random() < 0.3:
        one["timesteps"] = sorted(rng.sample(range(most), one["steps"]), reverse=True)
    if name == "TCD":
        one["eta"] = round(rng.random(), 3)
    return one


def all_cases():
    for name in VARIANTS:
        yield from cases_of(name)
    rng = random.Random(11)
    for name in VARIANTS:
        yield from requests_of(name, rng)
    for _ in range(80):
        for name in ("LCM", "TCD"):
            yield random_case(name, rng)
    for file in SWITCHES:
        for name in VARIANTS:
            yield case(file, 9, name, force=True)
            if not name.startswith(WITHOUT_KARRAS):
                yield case(file, 9, name, karras=1, force=True)
        yield case(file, 9, "DPMSolverMultistep", force=True, short="dpmpp-2m-sde")
        yield case(file, 20, "DPMSolverMultistep", force=True, short="dpmpp-2m-sde", karras=1)


def main():
    lines, values, refused, seen = [], [], 0, set()
    for one in all_cases():
        line = json.dumps(one, separators=(",", ":"))
        if line in seen:
            continue
        seen.add(line)
        try:
            found = run(one)
        except Exception:
            found = numpy.array([-1], dtype="<f4")
            refused += 1
        lines.append(line)
        values.append(found)
    HERE.mkdir(exist_ok=True)
    (HERE / "cases.jsonl").write_text("\n".join(lines) + "\n")
    (HERE / "values.f32").write_bytes(numpy.concatenate(values).tobytes())
    print(len(lines), "cases,", refused, "refused")


if __name__ == "__main__":
    main()
