# SPDX-License-Identifier: MIT
"""The configs of PixArt's golden models: Alpha told its sizes, Alpha without, Sigma, and one with
what these do not have. The VAEs' factors are large where bins are, so that latents are few."""

import torch

VAE = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.18.0.dev0",
    "act_fn": "silu",
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "out_channels": 3,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}


def vae(*channels, **changes):
    """The factor is 2 to the power of the levels less one."""
    levels = len(channels)
    return VAE | {"block_out_channels": list(channels),
                  "down_block_types": ["DownEncoderBlock2D"] * levels,
                  "up_block_types": ["UpDecoderBlock2D"] * levels} | changes


TRANSFORMER = {
    "_class_name": "Transformer2DModel",
    "_diffusers_version": "0.22.0.dev0",
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "attention_head_dim": 20,
    "attention_type": "default",
    "caption_channels": 40,
    "cross_attention_dim": 60,
    "double_self_attention": False,
    "dropout": 0.0,
    "in_channels": 4,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "norm_type": "ada_norm_single",
    "num_attention_heads": 3,
    "num_embeds_ada_norm": 1000,
    "num_layers": 3,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "out_channels": 8,
    "patch_size": 2,
    "sample_size": 128,
    "upcast_attention": False,
    "use_linear_projection": False,
}

SCHEDULER = {
    "_class_name": "DPMSolverMultistepScheduler",
    "_diffusers_version": "0.22.0.dev0",
    "algorithm_type": "dpmsolver++",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "dynamic_thresholding_ratio": 0.995,
    "euler_at_final": False,
    "lambda_min_clipped": float("-inf"),
    "lower_order_final": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "solver_order": 2,
    "solver_type": "midpoint",
    "steps_offset": 0,
    "thresholding": False,
    "timestep_spacing": "linspace",
    "trained_betas": None,
    "use_karras_sigmas": False,
    "use_lu_lambdas": False,
    "variance_type": None,
}

SPECS = {
    # 1024-MS: told its sizes. 1024 pixels are 32 latents.
    "px1": {
        "seed": 11,
        "pipeline": "PixArtAlphaPipeline",
        "dtype": torch.float16,
        "original": True,
        "transformer": TRANSFORMER,
        "vae": vae(4, 4, 4, 8, 8, 8),
        "scheduler": SCHEDULER,
    },
    # 512x512, by the newer class's name. 512 pixels are 32 latents.
    "px2": {
        "seed": 12,
        "pipeline": "PixArtAlphaPipeline",
        "dtype": torch.float32,
        "transformer": {k: v for k, v in TRANSFORMER.items() if k in (
            "_diffusers_version", "attention_bias", "caption_channels", "in_channels",
            "norm_type", "out_channels", "patch_size")} | {
                "_class_name": "PixArtTransformer2DModel",
                "attention_head_dim": 14,
                "cross_attention_dim": 28,
                "num_attention_heads": 2,
                "num_layers": 4,
                "sample_size": 64},
        "vae": vae(4, 4, 8, 8, 8),
        "scheduler": SCHEDULER | {"_class_name": "EulerDiscreteScheduler"},
    },
    # Sigma: places by a scale of their own. 256 pixels are 32 latents.
    "px3": {
        "seed": 13,
        "pipeline": "PixArtSigmaPipeline",
        "dtype": torch.bfloat16,
        "original": True,
        "transformer": TRANSFORMER | {"attention_head_dim": 12, "num_attention_heads": 5,
                                      "num_layers": 2, "sample_size": 32,
                                      "interpolation_scale": 0.5,
                                      "use_additional_conditions": False},
        "vae": vae(4, 8, 8, 8, scaling_factor=0.13025, force_upcast=True),
        "scheduler": SCHEDULER,
    },
    # No projection of the caption, no learned variance, no biases, norms with weights, another
    # feed forward, patches of 3, five channels; thresholding.
    "px4": {
        "seed": 14,
        "pipeline": "PixArtSigmaPipeline",
        "dtype": torch.float32,
        "transformer": TRANSFORMER | {"_class_name": "PixArtTransformer2DModel",
                                      "activation_fn": "geglu", "attention_bias": False,
                                      "attention_head_dim": 8, "caption_channels": None,
                                      "cross_attention_dim": 44, "in_channels": 5,
                                      "norm_elementwise_affine": True, "norm_eps": 1e-4,
                                      "num_attention_heads": 6, "num_layers": 2,
                                      "out_channels": None, "patch_size": 3, "sample_size": 13,
                                      "interpolation_scale": 1.7,
                                      "use_additional_conditions": True},
        "vae": vae(4, 8, 8, 8, latent_channels=5, scaling_factor=0.4),
        "scheduler": SCHEDULER | {"thresholding": True, "sample_max_value": 1.5,
                                  "dynamic_thresholding_ratio": 0.97},
    },
}
