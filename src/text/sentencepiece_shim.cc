// SPDX-License-Identifier: MIT
#include "text/sentencepiece_shim.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <new>

struct tg__sentencepiece {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

void say(char *message, size_t size, const char *text) { std::snprintf(message, size, "%s", text); }

bool take_all(const sentencepiece::ImmutableSentencePieceText &pieces, tg__sentencepiece_take take,
              void *context)
{
    for (size_t i = 0; i < pieces.pieces_size(); i++) {
        const auto piece = pieces.pieces(static_cast<int>(i));
        if (!take(context, piece.piece().data(), piece.piece().size(), piece.end()))
            return false;
    }
    return true;
}

} // namespace

tg__sentencepiece_status tg__sentencepiece_open(tg__sentencepiece **processor, const void *model,
                                                size_t bytes, char *message, size_t size)
{
    *processor = nullptr;
    try {
        auto made = std::make_unique<tg__sentencepiece>();
        const auto status = made->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(model), bytes));
        if (!status.ok()) {
            say(message, size, status.message());
            return TG__SENTENCEPIECE_FAILED;
        }
        *processor = made.release();
        return TG__SENTENCEPIECE_OK;
    } catch (const std::bad_alloc &) {
        return TG__SENTENCEPIECE_MEMORY;
    } catch (const std::exception &failure) {
        say(message, size, failure.what());
    } catch (...) {
        say(message, size, "unknown");
    }
    return TG__SENTENCEPIECE_FAILED;
}

void tg__sentencepiece_close(tg__sentencepiece *processor) { delete processor; }

tg__sentencepiece_status tg__sentencepiece_encode(const tg__sentencepiece *processor,
                                                  const char *text, size_t length,
                                                  tg__sentencepiece_take take, void *context)
{
    try {
        const auto pieces =
            processor->processor.EncodeAsImmutableProto(absl::string_view(text, length));
        return take_all(pieces, take, context) ? TG__SENTENCEPIECE_OK : TG__SENTENCEPIECE_MEMORY;
    } catch (const std::bad_alloc &) {
        return TG__SENTENCEPIECE_MEMORY;
    } catch (...) {
        return TG__SENTENCEPIECE_FAILED;
    }
}
