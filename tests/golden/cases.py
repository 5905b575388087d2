# SPDX-License-Identifier: MIT
"""What make_pipelines.py computes."""

LONG = ("a painting of seventeen small boats on a wide river at dawn, mist above the water, "
        "mountains far behind, a heron standing in the reeds, soft light, fine detail, muted "
        "colours, a village with a church tower on the other bank, smoke rising from chimneys, "
        "and in the sky, hardly visible, the last stars of the night fading one after another")

# (prompt, clip_skip)
MODULE_TEXTS = [("a red circle on a blue square", 0), ("", 0), (LONG, 0),
                ("Caf\u00e9 \u4f60\u597d, it's 12.5% off!", 1), ("a red circle", 2)]

SECOND_ORDER = ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler"]
FIRST_ORDER = ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler",
               "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
               "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
               "UniPCMultistepScheduler", "DEISMultistepScheduler"]
WITH_KARRAS = ["LMSDiscreteScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler",
               "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler",
               "DEISMultistepScheduler"] + SECOND_ORDER
DDIM = "DDIMScheduler"

DEFAULTS = {"prompt": "a red circle above two green squares", "negative": "", "clip_skip": 0,
            "steps": 10, "guidance": 5.0, "rescale": 0.0, "width": 64, "height": 96, "count": 1,
            "seed": 42, "start": "", "scheduler": "", "karras": -1, "prediction": "",
            "gate_step": 0, "sp_interval": 1, "fi_interval": 1, "warm_up": 0, "decode": False,
            "spacing": "", "eta": 0.0, "original": 0, "timesteps": []}


# Of XL's cases besides; negative None is none, which is not "". Sizes: original width and height,
# crop's top and left, target width and height; 0: the picture's.
XL_DEFAULTS = {"negative": None, "prompt_2": None, "negative_2": None, "sizes": [0] * 6,
               "negative_sizes": [0] * 6}


def case(model, name, gate=(), **changes):
    """gate: gate_step, sp_interval, fi_interval, warm_up; start: noise from a file of its own;
    decode: with the picture."""
    gated = dict(zip(("gate_step", "sp_interval", "fi_interval", "warm_up"), gate))
    defaults = DEFAULTS | (XL_DEFAULTS if model.startswith("xl") else {})
    assert not set(changes) - set(defaults), changes
    return {"name": f"{model}-{name}", "model": model} | defaults | gated | changes


def short(scheduler):
    name = scheduler.removesuffix("Scheduler").lower()
    return name.removesuffix("discrete").removesuffix("multistep") or name


def each_scheduler():
    """Plain and gated, as the files of two models configure them."""
    cases = []
    for model, size in (("sd1", {}), ("sd2", {"width": 80, "height": 72})):
        for i, name in enumerate(FIRST_ORDER + SECOND_ORDER):
            steps = 8 + i % 4
            cases.append(case(model, short(name), scheduler=name, steps=steps, **size))
            gate = (5, 2, 2, 1) if i % 2 else (6, 3, 1, 2)
            cases.append(case(model, f"{short(name)}-gate", gate, scheduler=name, steps=steps,
                              **size))
    for i, name in enumerate(WITH_KARRAS):
        model = "sd2" if i % 2 else "sd1"
        cases.append(case(model, f"{short(name)}-karras", scheduler=name, karras=1, steps=9))
        cases.append(case(model, f"{short(name)}-karras-gate", (4, 2, 3, 1), scheduler=name,
                          karras=1, steps=9))
    return cases


def gates():
    """The corners of T-GATE's table."""
    rows = {
        "v1": (4,), "v2": (8, 3, 1, 2), "v2-fi": (5, 2, 3, 1), "first": (1,),
        "first-fi": (1, 1, 2, 0), "last": (12, 3, 2, 2), "never": (20, 3, 2, 2),
        "warm-late": (5, 2, 3, 9), "warm-at-gate": (6, 2, 2, 5), "warm-before": (6, 2, 2, 4),
        "warm-none": (9, 4, 5, 0), "sp-wide": (9, 50, 50, 3), "second": (2, 2, 2, 1),
    }
    cases = [case("sd1", f"gate-{name}", row, scheduler=DDIM, steps=12,
                  decode=name in ("v1", "v2")) for name, row in rows.items()]
    for name in SECOND_ORDER:
        for kind, row in (("first", (1, 1, 2, 0)), ("last", (7, 2, 1, 1)), ("v1", (3,)),
                          ("warm", (6, 2, 2, 3)), ("never", (9, 3, 1, 1))):
            cases.append(case("sd1", f"{short(name)}-gate-{kind}", row, scheduler=name, steps=7))
    for kind, row in (("first", (1, 1, 2, 0)), ("warm", (6, 2, 2, 3)), ("last", (9, 3, 1, 0))):
        cases.append(case("sd1", f"pndm-gate-{kind}", row, steps=9))
        cases.append(case("odd3", f"pndm-prk-gate-{kind}", row, steps=9))
    return cases


def requests():
    """Guidance, batches, sizes, texts, seeds."""
    plain = {"scheduler": DDIM}
    gate = (5, 2, 2, 1)
    pairs = {
        "rescale": {"rescale": 0.7},
        "rescale-batch": {"rescale": 0.4, "count": 2},
        "unguided": {"guidance": 1.0},
        "unguided-batch": {"guidance": 0.0, "count": 2},
        "unguided-rescale": {"guidance": 1.0, "rescale": 0.5},
        "batch2": {"count": 2, "seed": 7},
        "batch3": {"count": 3, "width": 48, "height": 72},
        "strong": {"guidance": 9.0, "negative": "large white house by the sea"},
        "clip-skip": {"clip_skip": 1, "negative": "night"},
        "clip-skip2": {"clip_skip": 2},
        "long": {"prompt": LONG},
        "long-negative": {"prompt": "", "negative": LONG},
        "wide": {"width": 128, "height": 96},
        "odd-size": {"width": 72, "height": 56},
        "few-values": {"width": 24, "height": 40, "seed": 5},
        "big-seed": {"seed": 2**40 + 3},
        "start": {"start": "noise"},
        "start-noise": {"start": "noise", "scheduler": "DDPMScheduler", "count": 2},
    }
    cases = []
    for i, (name, changes) in enumerate(pairs.items()):
        model = "sd2" if i % 2 else "sd1"
        cases.append(case(model, name, **plain | changes))
        cases.append(case(model, f"{name}-gate", gate, **plain | changes))
    for name in FIRST_ORDER + SECOND_ORDER:
        cases.append(case("sd2", f"{short(name)}-unguided-gate", (4, 2, 2, 1), scheduler=name,
                          guidance=1.0, count=2, steps=8))
        for steps in (1, 2):
            cases.append(case("sd2", f"{short(name)}-{steps}-steps", scheduler=name, steps=steps))
    default = {"steps": 25, "guidance": 7.5}
    cases += [
        case("sd1", "ddim-decode", scheduler=DDIM, decode=True),
        case("sd1", "default", width=96, height=64, decode=True, **default),
        case("sd1", "default-gate", (10, 5, 1, 2), width=96, height=64, decode=True, **default),
        case("sd2", "default", decode=True, **default),
        case("sd2", "default-gate", (10, 5, 1, 2), decode=True, **default),
        case("sd2", "default-v1-gate", (5,), **default),
        case("sd2", "as-epsilon", prediction="epsilon", **plain),
        case("sd1", "as-v-prediction", prediction="v_prediction", **plain),
    ]
    return cases


def odd_models():
    """The other models with their own schedulers and a few more."""
    cases = []
    for model in ("odd1", "odd2", "odd3"):
        cases += [
            case(model, "default", steps=12, decode=True),
            case(model, "default-gate", (5, 2, 2, 1), steps=12, decode=True),
            case(model, "odd-size", width=56, height=72, count=2),
            case(model, "odd-size-gate", (4, 3, 1, 1), width=56, height=72, count=2),
            case(model, "unguided-gate", (4, 2, 2, 0), guidance=1.0, count=2),
            case(model, "long-gate", (6, 2, 3, 2), prompt=LONG, negative="a house"),
        ]
        # Without clip_sample in the config DDIM clips: chaotic but for odd2.
        for name in (DDIM if model == "odd2" else "LMSDiscreteScheduler", "PNDMScheduler",
                     "EulerAncestralDiscreteScheduler", "UniPCMultistepScheduler",
                     "DPMSolverMultistepScheduler", "HeunDiscreteScheduler"):
            cases.append(case(model, short(name), scheduler=name))
            cases.append(case(model, f"{short(name)}-gate", (5, 2, 2, 1), scheduler=name))
    return cases


LCM, TCD = "LCMScheduler", "TCDScheduler"


def consistency_model():
    """The model with a guidance embedding."""
    usual = {"steps": 4, "guidance": 8.5}
    cases = [case("lcm", f"{steps}-steps", steps=steps, guidance=8.5) for steps in range(1, 9)]
    cases += [case("lcm", f"gate{gate}-{steps}-steps", (gate,), steps=steps, guidance=8.5)
              for gate in (1, 2) for steps in range(1, 9)]
    pairs = {
        "decode": {"decode": True}, "batch3": {"count": 3, "seed": 5},
        "untold": {"guidance": 1.0, "count": 2}, "below-one": {"guidance": 0.25},
        "strong": {"guidance": 14.0}, "clip-skip": {"clip_skip": 1},
        "negative": {"negative": "a house"}, "rescale": {"rescale": 0.7},
        "odd-size": {"width": 72, "height": 56}, "big-seed": {"seed": 2**33 + 1},
        "original20": {"original": 20, "steps": 5}, "original999": {"original": 999},
        "timesteps": {"timesteps": [999, 759, 499, 259]},
        "timesteps7": {"timesteps": [980, 811, 640, 377, 249, 90, 4]},
        "start": {"start": "noise"}, "long": {"prompt": LONG},
    }
    for i, (name, changes) in enumerate(pairs.items()):
        changes = usual | changes
        changes["steps"] = len(changes.get("timesteps", ())) or changes["steps"]
        cases.append(case("lcm", name, **changes))
        cases.append(case("lcm", f"{name}-gate", (1 + i % 2,), **changes))
    rows = {"v2": (5, 2, 2, 1), "fi": (2, 1, 3, 0), "warm": (6, 2, 1, 3), "never": (20, 3, 2, 2)}
    for name, row in rows.items():
        cases.append(case("lcm", f"gate-{name}", row, steps=8, guidance=8.5, count=2))
    for i, name in enumerate(["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler",
                              "DPMSolverMultistepScheduler", "HeunDiscreteScheduler", TCD]):
        spacing = {"spacing": "trailing"} if i < 2 else {}
        cases.append(case("lcm", short(name), scheduler=name, steps=5, guidance=8.5, **spacing))
        cases.append(case("lcm", f"{short(name)}-gate", (2, 2, 2, 1), scheduler=name, steps=5,
                          guidance=8.5, count=2, **spacing))
    return cases


def few_steps():
    """The schedulers of few steps with guidance, and what requests ask of schedulers."""
    pairs = {
        "lcm": {"scheduler": LCM, "steps": 4}, "lcm-unguided": {"scheduler": LCM, "steps": 3,
                                                                "guidance": 1.0, "count": 2},
        "lcm-original": {"scheduler": LCM, "steps": 6, "original": 30},
        "tcd": {"scheduler": TCD, "steps": 4},
        "tcd-eta": {"scheduler": TCD, "steps": 6, "eta": 0.3, "count": 2},
        "tcd-eta-one": {"scheduler": TCD, "steps": 4, "eta": 1.0},
        "ddim-eta": {"scheduler": DDIM, "steps": 8, "eta": 0.5, "count": 2},
        "ddim-eta-one": {"scheduler": DDIM, "steps": 6, "eta": 1.0},
        "euler-trailing": {"scheduler": "EulerDiscreteScheduler", "steps": 4,
                           "spacing": "trailing"},
        "euler-list": {"scheduler": "EulerDiscreteScheduler",
                       "timesteps": [999, 850, 600, 333, 170, 20]},
        "heun-list": {"scheduler": "HeunDiscreteScheduler", "timesteps": [990, 700, 400, 150, 9]},
        "ddpm-list": {"scheduler": "DDPMScheduler", "timesteps": [999, 700, 420, 200, 50]},
        "dpmsolver-list": {"scheduler": "DPMSolverMultistepScheduler",
                           "timesteps": [999, 845, 730, 587, 443, 310, 193, 116, 53, 13]},
        "dpmsolversinglestep-list": {"scheduler": "DPMSolverSinglestepScheduler",
                                     "timesteps": [999, 800, 600, 400, 200, 40]},
        "lcm-list": {"scheduler": LCM, "timesteps": [999, 500, 100]},
        "tcd-list": {"scheduler": TCD, "timesteps": [960, 640, 320, 30], "eta": 0.3},
    }
    cases = []
    for i, (name, changes) in enumerate(pairs.items()):
        steps = len(changes.get("timesteps", ())) or changes["steps"]
        model = "sd2" if i % 2 else "sd1"
        cases.append(case(model, f"few-{name}", **changes | {"steps": steps}))
        gate = (1,) if i % 4 == 0 else (3, 2, 1, 1)
        cases.append(case(model, f"few-{name}-gate", gate, **changes | {"steps": steps}))
    return cases


def xl_models():
    """What Stable Diffusion XL has besides, plain and gated; and a few of everything else."""
    sizes, other = [128, 96, 16, 8, 80, 72], [40, 48, 0, 0, 64, 64]
    pairs = {
        "default": {"steps": 12, "decode": True},
        "empty-negative": {"negative": ""},
        "negative": {"negative": "a blue square"},
        "prompt-2": {"prompt_2": "a blue square"},
        "negative-2": {"negative": "night", "negative_2": "a house"},
        "negative-2-alone": {"negative_2": "a house"},
        "empty-2": {"prompt_2": "", "negative": "night", "negative_2": ""},
        "sizes": {"sizes": sizes},
        "crop": {"sizes": [0, 0, 24, 40, 0, 0]},
        "negative-sizes": {"sizes": sizes, "negative_sizes": other},
        "negative-sizes-batch": {"negative": "night", "negative_sizes": other, "count": 2},
        "negative-original": {"negative_sizes": [40, 48, 0, 0, 0, 0]},
        "batch": {"count": 2, "negative": ""},
        "unguided": {"guidance": 1.0},
        "unguided-batch": {"guidance": 0.0, "count": 2, "sizes": sizes},
        "clip-skip": {"clip_skip": 1, "negative": "night"},
        "long": {"prompt": LONG, "negative": LONG},
        "rescale": {"rescale": 0.7, "negative": ""},
        "odd-size": {"width": 72, "height": 56},
        "start": {"start": "noise"},
    }
    both = {"default", "empty-negative", "negative-sizes-batch", "clip-skip"}
    gates = [(5, 2, 2, 1), (4,), (6, 3, 1, 2)]
    cases = []
    for i, (name, changes) in enumerate(pairs.items()):
        for model in ("xl1", "xl2") if name in both else (f"xl{1 + i % 2}",):
            cases.append(case(model, name, **changes))
            cases.append(case(model, f"{name}-gate", gates[i % 3], **changes))
    for i, name in enumerate(FIRST_ORDER + SECOND_ORDER):
        if name == "DPMSolverSinglestepScheduler":
            continue  # chaotic on xl1
        if i % 2:
            cases.append(case("xl1", short(name), scheduler=name, steps=8 + i % 4, negative=""))
        cases.append(case("xl1", f"{short(name)}-gate", gates[i % 3], scheduler=name,
                          steps=8 + i % 4))
    for name in ("EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "DDPMScheduler",
                 "EulerAncestralDiscreteScheduler"):
        cases.append(case("xl2", f"{short(name)}-gate", (5, 2, 2, 1), scheduler=name))
    for steps in (1, 2, 4):
        cases.append(case("xl1", f"turbo-{steps}", (1,) if steps > 1 else (),
                          scheduler="EulerAncestralDiscreteScheduler", steps=steps, guidance=0.0))
    return cases


def cached(model, name, interval, branch, gate=(), **changes):
    """A case with DeepCache."""
    return case(model, f"deepcache-{name}", gate, **changes) | {"deepcache_interval": interval,
                                                                "deepcache_branch": branch}


def deepcache():
    """Branches, intervals, schedulers and requests, alone and under the gate."""
    ddim = {"scheduler": DDIM, "steps": 12}
    v1, v2 = (5,), (8, 3, 2, 2)
    cases = []
    for model, branches in (("sd1", range(12)), ("sd2", range(9)), ("odd1", range(9)),
                            ("odd2", range(6)), ("odd3", range(3))):
        own = {"steps": 9} | (ddim if model.startswith("sd") else {})
        if model == "odd3":  # its own scheduler's timesteps repeat
            own["scheduler"] = "DPMSolverMultistepScheduler"
        for i, branch in enumerate(branches):
            interval, gate = (2, 3, 5)[i % 3], (v1, v2, (4, 2, 3, 1))[i // 3 % 3]
            size = {"width": 72, "height": 56} if i % 2 else {}
            cases.append(cached(model, f"branch{branch}", interval, branch, **own, **size))
            cases.append(cached(model, f"branch{branch}-gate", interval, branch, gate, **own,
                                **size))
    for i, name in enumerate(FIRST_ORDER + SECOND_ORDER):
        model, interval, branch = ("sd1", "sd2")[i % 2], 2 + i % 3, i % 5
        cases.append(cached(model, short(name), interval, branch, scheduler=name, steps=9))
        for kind, gate in (("v1", (4,)), ("v2", (6, 2, 2, 1))):
            cases.append(cached(model, f"{short(name)}-{kind}", interval, branch, gate,
                                scheduler=name, steps=9))
    # Where the gate lies between two full evaluations, and how wide these are apart.
    for gate_step in (1, 2, 3, 4, 6, 7, 11, 12, 13):
        cases.append(cached("sd1", f"at{gate_step}", 3, 1, (gate_step, 2, 2, 1), **ddim))
    for interval in (1, 2, 4, 50):
        cases.append(cached("sd2", f"every{interval}", interval, 0, (7, 2, 3, 1), **ddim))
    for name in SECOND_ORDER:
        for gate_step in (1, 2, 5):
            cases.append(cached("sd1", f"{short(name)}-at{gate_step}", 3, 2, (gate_step, 2, 2, 0),
                                scheduler=name, steps=6))
    # Stores on shallow evaluations: deep layers have not stored yet where others reuse.
    for kind, gate in (("warm", (9, 4, 1, 2)), ("warm-wide", (11, 50, 2, 4)),
                       ("late", (20, 2, 1, 1)), ("fi", (3, 1, 4, 0))):
        cases.append(cached("sd1", f"store-{kind}", 3, 3, gate, **ddim))
    for kind, changes in (("unguided", {"guidance": 1.0, "count": 2}), ("batch", {"count": 3}),
                          ("rescale", {"rescale": 0.7, "count": 2}),
                          ("large", {"width": 128, "decode": True})):
        cases.append(cached("sd1", kind, 3, 1, **ddim | changes))
        cases.append(cached("sd2", f"{kind}-gate", 3, 1, (6, 2, 2, 1), **ddim | changes))
    cases += [cached("odd3", f"pndm-prk-at{gate_step}", 3, 1, (gate_step, 2, 1, 0), steps=9)
              for gate_step in (1, 4)]
    for model in ("xl1", "xl2"):
        for i, gate in enumerate([(), (5,), (6, 2, 2, 1), ()]):
            branch = 3 * i + i % 3 if i < 3 else 5
            sizes = [128, 96, 16, 8, 80, 72] if i == 2 else [0] * 6
            cases.append(cached(model, f"{i}", 2 + i, branch, gate, steps=10, count=1 + i % 2,
                                sizes=sizes))
    cases.append(cached("xl1", "heun-gate", 3, 0, (3,), scheduler="HeunDiscreteScheduler", steps=8))
    for i, gate in enumerate([(), (1,), (2,), (3, 2, 2, 1)]):
        for steps in (4, 7):
            cases.append(cached("lcm", f"{i}-{steps}", 2 + i % 2, i, gate, steps=steps,
                                guidance=8.5, count=1 + i % 2))
    return cases


def pipeline_cases():
    cases = (each_scheduler() + gates() + requests() + odd_models() + few_steps() +
             consistency_model() + xl_models() + deepcache())
    names = [c["name"] for c in cases]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    return cases
