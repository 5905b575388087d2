# SPDX-License-Identifier: MIT
"""The VAE in tiles, as diffusers has it with enable_tiling().

    python make_tiles.py       writes tiles/ beside this script

Sizes are chosen so that tiles are cut off at the end, also the last but one, and that a side which
one tile would hold is cut nevertheless because the other is longer. cases.json is an array with
one flat object a line: kind ("decode" or "encode"), model, and the files with the latents (those of
"decode" to be divided by the scaling factor first, those of "encode" the mean times it) and with
the picture (not clamped), both (count, channels, height, width), <f4.
"""

import numpy
import torch

import common

TILES = common.HERE / "tiles"

# (model, count, height, width): latents, then pictures
DECODE = [("sd1", 1, 13, 10), ("sd2", 2, 12, 14), ("odd1", 1, 5, 20)]
ENCODE = [("sd1", 1, 109, 70), ("odd1", 2, 40, 105)]


def save(name, tensor):
    numpy.save(TILES / name, tensor.detach().float().numpy().astype("<f4"))
    return name


def tiled(model):
    vae = common.load(model).vae
    vae.enable_tiling()
    return vae


@torch.no_grad()
def main():
    TILES.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(77)
    cases = []
    for model, count, height, width in DECODE:
        vae = tiled(model)
        latents = torch.randn(count, vae.config.latent_channels, height, width,
                              generator=generator)
        picture = vae.decode(latents / vae.config.scaling_factor).sample
        cases.append({"kind": "decode", "model": model,
                      "latents": save(f"{model}-decode.latents.npy", latents),
                      "picture": save(f"{model}-decode.picture.npy", picture)})
    for model, count, height, width in ENCODE:
        vae = tiled(model)
        picture = torch.rand(count, 3, height, width, generator=generator) * 2 - 1
        latents = vae.encode(picture).latent_dist.mean * vae.config.scaling_factor
        cases.append({"kind": "encode", "model": model,
                      "latents": save(f"{model}-encode.latents.npy", latents),
                      "picture": save(f"{model}-encode.picture.npy", picture)})
    common.write_cases(TILES / "cases.json", cases)


if __name__ == "__main__":
    main()
