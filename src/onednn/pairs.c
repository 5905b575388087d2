/* SPDX-License-Identifier: MIT */
#include "onednn/pairs.h"

#include <string.h>

/* The inner blocks, innermost last: [inputs / 2 of a block], width outputs, 2 inputs. *block:
 * inputs of one block. */
static bool match_inner(const dnnl_blocking_desc_t *b, int out, int in, int64_t *width,
                        int64_t *block)
{
    int n = b->inner_nblks;
    if (n < 2 || n > 3 || b->inner_blks[n - 1] != 2 || b->inner_idxs[n - 1] != in ||
        b->inner_idxs[n - 2] != out || (n == 3 && b->inner_idxs[0] != in))
        return false;
    *width = b->inner_blks[n - 2];
    *block = n == 3 ? 2 * b->inner_blks[0] : 2;
    return *width % TG__PAIR_ROWS == 0;
}

bool tg__pairs_match(const dnnl_memory_desc_t *md, size_t *width)
{
    int out = md->ndims == 2 ? 1 : 0, in = 1 - out;
    int64_t w, block, k = md->ndims == 4 ? md->dims[3] : 1, inputs = md->dims[in];
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    if ((md->ndims != 2 && md->ndims != 4) || md->data_type != dnnl_bf16 ||
        md->format_kind != dnnl_blocked || md->offset0 != 0 || md->extra.flags != 0 ||
        memcmp(md->dims, md->padded_dims, (size_t)md->ndims * sizeof *md->dims) != 0 ||
        !match_inner(b, out, in, &w, &block))
        return false;
    *width = (size_t)w;
    return md->dims[out] % w == 0 && inputs % block == 0 && b->strides[in] == w * block &&
           b->strides[out] == w * inputs * k * k &&
           (k == 1 || (b->strides[3] == w * inputs && b->strides[2] == w * inputs * k));
}

void tg__pairs_write(tg__bf16 *dst, const tg__bf16 *rows, size_t first, size_t width, size_t in,
                     size_t taps)
{
    size_t row = in * taps;
    tg__bf16 *block = dst + first / width * width * row + first % width * 2;
    if (taps == 1) { /* both are one word */
        for (size_t i = 0; i < in; i += 2)
            for (size_t r = 0; r < TG__PAIR_ROWS; r++)
                memcpy(block + i * width + 2 * r, rows + r * row + i, 2 * sizeof *rows);
        return;
    }
    for (size_t i = 0; i < in; i += 2) {
        for (size_t t = 0; t < taps; t++) {
            const tg__bf16 *even = rows + i * taps + t, *odd = even + taps;
            tg__bf16 *line = block + (t * in + i) * width;
            for (size_t r = 0; r < TG__PAIR_ROWS; r++) {
                line[2 * r] = even[r * row];
                line[2 * r + 1] = odd[r * row];
            }
        }
    }
}
