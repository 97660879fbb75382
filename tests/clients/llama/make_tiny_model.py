"""Writes a tiny model that llama.cpp loads and runs for real: make_tiny_model.py OUT.gguf

Nothing is trained. It is a llama of one layer, and the layer adds nothing: what leaves the model is decided by
its last token alone. Each token's embedding is a direction of its own, and the output matrix turns the direction
of `:` (where the chat template ends) to the first word of SENTENCE, each word's to the next, and the last one's to
the end of the text. So the answer is known in advance. Only Python's standard library is needed.
"""

import struct
import sys
from itertools import pairwise

SENTENCE = "Hello! These words come from a real llama.cpp that runs one very small model."

WIDTH = 384  # of the embedding: at least one direction for each token
HEADS = 4
CONTEXT = 8192
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)

# The numbers of the GGUF format, version 3.
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
F32, F16 = 0, 1
END_OF_TEXT = 2


def vocabulary():
    """Returns (text, type) of each token, as SentencePiece has them, with the words of SENTENCE last."""
    specials = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    raw_bytes = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    characters = [("▁", NORMAL)] + [(chr(code), NORMAL) for code in range(33, 127)]
    words = [(f"▁{word}", NORMAL) for word in SENTENCE.split()]
    assert len(set(words)) == len(words), "a word that stands twice would lead to two places"
    return specials + raw_bytes + characters + words


def matrix(rows, ones):
    """Returns a tensor of zeros, `rows` of WIDTH, with a one at each (row, column)."""
    content = bytearray(2 * rows * WIDTH)
    for row, column in ones:
        struct.pack_into("<e", content, 2 * (row * WIDTH + column), 1.0)
    return F16, (WIDTH, rows), bytes(content)


def tensors(tokens):
    chain = [tokens.index((":", NORMAL)), *range(len(tokens) - len(SENTENCE.split()), len(tokens)), END_OF_TEXT]
    norm = F32, (WIDTH,), struct.pack(f"<{WIDTH}f", *[1.0] * WIDTH)
    nothing = matrix(WIDTH, [])
    layer = {"attn_norm": norm, "ffn_norm": norm} | dict.fromkeys(
        ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), nothing
    )
    return {
        "token_embd.weight": matrix(len(tokens), [(token, token) for token in range(len(tokens))]),
        "output.weight": matrix(len(tokens), [(after, now) for now, after in pairwise(chain)]),
        "output_norm.weight": norm,
        **{f"blk.0.{name}.weight": tensor for name, tensor in layer.items()},
    }


def metadata(tokens):
    """Yields (key, type, value); the type of a list is that of its items."""
    yield "general.architecture", STRING, "llama"
    yield "general.name", STRING, "tiny"
    yield "llama.vocab_size", UINT32, len(tokens)
    yield "llama.context_length", UINT32, CONTEXT
    yield "llama.embedding_length", UINT32, WIDTH
    yield "llama.block_count", UINT32, 1
    yield "llama.feed_forward_length", UINT32, WIDTH
    yield "llama.attention.head_count", UINT32, HEADS
    yield "llama.attention.head_count_kv", UINT32, HEADS
    yield "llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5
    yield "llama.rope.dimension_count", UINT32, WIDTH // HEADS
    yield "tokenizer.ggml.model", STRING, "llama"
    yield "tokenizer.ggml.tokens", STRING, [text for text, _ in tokens]
    yield "tokenizer.ggml.scores", FLOAT32, [-float(place) for place in range(len(tokens))]
    yield "tokenizer.ggml.token_type", INT32, [kind for _, kind in tokens]
    yield "tokenizer.ggml.unknown_token_id", UINT32, 0
    yield "tokenizer.ggml.bos_token_id", UINT32, 1
    yield "tokenizer.ggml.eos_token_id", UINT32, END_OF_TEXT
    yield "tokenizer.ggml.add_bos_token", BOOL, True
    yield "tokenizer.chat_template", STRING, TEMPLATE


def packed(kind, value):
    if kind == STRING:
        return struct.pack("<Q", len(value.encode())) + value.encode()
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def packed_pair(key, kind, value):
    if not isinstance(value, list):
        return packed(STRING, key) + struct.pack("<I", kind) + packed(kind, value)
    items = b"".join(packed(kind, item) for item in value)
    return packed(STRING, key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + items


def aligned(content):
    return content + bytes(-len(content) % 32)


def main(path):
    tokens = vocabulary()
    pairs = [packed_pair(*pair) for pair in metadata(tokens)]
    infos, data = [], b""
    for name, (kind, shape, content) in tensors(tokens).items():
        infos.append(packed(STRING, name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data)))
        data += aligned(content)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) + b"".join(pairs + infos)
    with open(path, "wb") as file:
        file.write(aligned(head) + data)


if __name__ == "__main__":
    main(sys.argv[1])
