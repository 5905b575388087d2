# SPDX-License-Identifier: MIT
"""A tiny sentencepiece model, T5 tokenizers around it, and what they make of hostile texts.

    python make_t5_tokenizer.py          writes t5_tokenizer/ beside this script

t5_tokenizer/NAME is a tokenizer's folder; NAME.json an array with one object a line: `text`, `ids`
(transformers' T5Tokenizer, or T5TokenizerFast where the folder has tokenizer.json alone). Folders:
`plain` (spiece.model alone: everything is the default), `saved` (as later versions of transformers
save one, with flags of their own), `legacy` (special_tokens_map.json and added_tokens.json),
`modern` (legacy false), `fast` (tokenizer.json as transformers converts it), `old_fast` (as
it did years ago). BROKEN holds models
that are refused: `bpe.model`.
"""

import io
import json
import random
import shutil

import sentencepiece
import transformers

import common

OUT = common.HERE / "t5_tokenizer"

WORDS = """a red apple on the table fox jumps over lazy dog castle in fog morning light photograph
of an old man with beard oil painting river mountain snow sky blue green yellow house tree bird cat
sitting chair detailed high quality portrait woman dress city street night rain umbrella ship sea
storm wave boat lighthouse flower garden butterfly spring summer autumn winter forest path deer
running jumping eating reading writing robot astronaut riding horse moon mars 1 2 3 10 2024 ( ) , .
! ? - ' " : ; Äpfel über schön naïve café résumé""".split()


def corpus(generator):
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "en", "ar")]
    made = ["".join(generator.choices(syllables, k=generator.randint(1, 3))) for _ in range(300)]
    return [" ".join(generator.choice(WORDS + made) for _ in range(generator.randint(2, 14)))
            for _ in range(3000)]


def train(generator, kind="unigram", size=320, rule="nmt_nfkc"):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus(generator)), model_writer=model, vocab_size=size,
        model_type=kind, character_coverage=1.0, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        normalization_rule_name=rule, minloglevel=2, num_threads=1)
    return model.getvalue()


SNIPPETS = ["</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_9>", "<extra_id_99>",
            "<extra_id_7", "</s", "<s>", "▁", "▁▁", "\u2581a", "NEW", "new tok", "  ", " ", "\t",
            "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u00ad", "ﬁ", "①", "Ａ", "½",
            "é", "e\u0301", "a\u0323\u0307", "가", "\u1100\u1161", "日本", "🦊", "👩\u200d👧", "ß",
            "İ", "\u0000"[:0], "\x01", "\x7f", "\ufffd", "\u0378", "𝔸", "a\u0308\u0304", "र्क",
            "\U000e0041", "…", "™", "ｶﾞ", "\u0344", "Ǆ", "ﷺ", "\u2028", "<", ">", "&", "\\n"]


def text(generator):
    parts = []
    for _ in range(generator.randint(0, 9)):
        pick = generator.random()
        if pick < 0.4:
            parts.append(generator.choice(WORDS))
        elif pick < 0.75:
            parts.append(generator.choice(SNIPPETS))
        else:
            code = generator.choice([generator.randint(32, 126), generator.randint(128, 0x2fff),
                                     generator.randint(0x3000, 0xd7ff),
                                     generator.randint(0xe000, 0x1ffff)])
            parts.append(chr(code) * generator.randint(1, 3))
        parts.append(generator.choice(["", " ", " ", "  "]))
    return "".join(parts)


def write_folders(model):
    shutil.rmtree(OUT, ignore_errors=True)
    for name in ("plain", "saved", "legacy", "modern"):
        (OUT / name).mkdir(parents=True)
        path = OUT / name / "spiece.model"
        if name == "plain":
            path.write_bytes(model)
        else:
            path.symlink_to("../plain/spiece.model")
    count = sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()

    def token(content, **flags):
        return {"content": content, "lstrip": False, "normalized": False, "rstrip": False,
                "single_word": False, "special": True} | flags

    extras = [f"<extra_id_{i}>" for i in range(100)]
    decoder = {"0": token("<pad>"), "1": token("</s>"), "2": token("<unk>")}
    decoder |= {str(count + 99 - i): token(e) for i, e in enumerate(extras)}
    decoder |= {str(count + 100): token("NEW", special=False, single_word=True),
                str(count + 101): token("new tok", special=False, lstrip=True, rstrip=True)}
    saved = {"added_tokens_decoder": decoder, "additional_special_tokens": extras,
             "clean_up_tokenization_spaces": True, "eos_token": "</s>", "extra_ids": 100,
             "legacy": True, "model_max_length": 64, "pad_token": "<pad>", "sp_model_kwargs": {},
             "tokenizer_class": "T5Tokenizer", "unk_token": "<unk>"}
    common.write_json(OUT / "saved" / "tokenizer_config.json", saved)
    common.write_json(OUT / "modern" / "tokenizer_config.json",
                      saved | {"legacy": False, "model_max_length": int(1e30)})
    common.write_json(OUT / "legacy" / "tokenizer_config.json",
                      {"eos_token": "</s>", "extra_ids": 10, "model_max_length": 20,
                       "pad_token": "<pad>", "unk_token": "<unk>"})
    common.write_json(OUT / "legacy" / "special_tokens_map.json",
                      {"additional_special_tokens": extras[:10], "eos_token": "</s>",
                       "pad_token": "<pad>", "unk_token": "<unk>"})
    common.write_json(OUT / "legacy" / "added_tokens.json", {"NEW": count + 10})


def old_fast(tokenizer):
    """As they were converted years ago, without the table of characters, and with flags."""
    config = json.loads(tokenizer.to_str())
    config["normalizer"] = {"type": "Strip", "strip_left": True, "strip_right": False}
    config["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}]}
    for i, token in enumerate(config["added_tokens"]):
        token |= {"lstrip": i % 2 == 1, "rstrip": i % 3 == 1, "single_word": i % 5 == 4}
    (OUT / "old_fast").mkdir()
    (OUT / "old_fast" / "tokenizer.json").write_text(json.dumps(config))


def main():
    generator = random.Random(5)
    write_folders(train(generator))
    (OUT / "bpe.model").write_bytes(train(generator, "bpe", 200, "identity"))
    fast = transformers.T5TokenizerFast.from_pretrained(OUT / "plain")
    (OUT / "fast").mkdir()
    fast.backend_tokenizer.save(str(OUT / "fast" / "tokenizer.json"), pretty=False)
    old_fast(fast.backend_tokenizer)
    texts = ["", " ", "a", "a red apple"] + [text(generator) for _ in range(600)]
    for name in ("plain", "saved", "legacy", "modern", "fast", "old_fast"):
        kind = transformers.T5TokenizerFast if "fast" in name else transformers.T5Tokenizer
        tokenizer = kind.from_pretrained(OUT / name)
        common.write_cases(OUT / f"{name}.json",
                           [{"text": t, "ids": tokenizer(t).input_ids} for t in texts])


if __name__ == "__main__":
    main()
