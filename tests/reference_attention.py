"""Slow twins of the attention and gradient methods: one pair, float64, loops, nothing shared with `mmel`.

They read the weights of an open_clip ViT and do all arithmetic themselves; `torch.autograd.grad` is the only
thing that they have in common with the methods.
"""

from __future__ import annotations

import math

import networkx
import numpy as np
import torch


def double(model):
    return {name: value.double() for name, value in model.state_dict().items()}


def layer_norm(x, weights, name):
    out = []
    for row in x:
        centred = row - row.sum() / len(row)
        out.append(centred / torch.sqrt((centred**2).sum() / len(row) + 1e-5))
    return torch.stack(out) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def rest_of_block(x, attended, weights, name):
    x = x + attended @ weights[f"{name}.attn.out_proj.weight"].T + weights[f"{name}.attn.out_proj.bias"]
    wide = layer_norm(x, weights, f"{name}.ln_2") @ weights[f"{name}.mlp.c_fc.weight"].T
    wide = wide + weights[f"{name}.mlp.c_fc.bias"]
    wide = wide / (1 + torch.exp(-1.702 * wide))  # quick GELU
    return x + wide @ weights[f"{name}.mlp.c_proj.weight"].T + weights[f"{name}.mlp.c_proj.bias"]


def run_block(x, weights, name, heads, causal):
    """One block, head by head; the entries of the result are those of the block's story."""
    width = x.shape[1]
    inside = layer_norm(x, weights, f"{name}.ln_1")
    qkv = inside @ weights[f"{name}.attn.in_proj_weight"].T + weights[f"{name}.attn.in_proj_bias"]
    q, k, v = qkv[:, :width], qkv[:, width : 2 * width], qkv[:, 2 * width :]
    size = width // heads
    patterns, outs = [], []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        logits = q[:, part] @ k[:, part].T / math.sqrt(size)
        if causal:
            hidden = torch.ones_like(logits, dtype=torch.bool).triu(1)
            logits = logits.masked_fill(hidden, -math.inf)
        pattern = torch.exp(logits - logits.max(dim=1, keepdim=True).values.detach())
        pattern = pattern / pattern.sum(1, keepdim=True)
        patterns.append(pattern)
        outs.append(pattern @ v[:, part])
    attn_out = torch.cat(outs, 1)
    out = rest_of_block(x, attn_out, weights, name)
    return {
        "x_in": x, "q": q, "k": k, "v": v, "patterns": patterns, "attn_out": attn_out, "x_out": out, "name": name,
    }  # fmt: skip


def run_tower(x, weights, prefix, depth, heads, single_head=0, causal=False):
    """All blocks; the last `single_head` of them with a single head."""
    story = []
    x = x.requires_grad_()
    for layer in range(depth):
        own = 1 if layer >= depth - single_head else heads
        story.append(run_block(x, weights, f"{prefix}.{layer}", own, causal))
        x = story[-1]["x_out"]
    return story


def image_story(model, image, single_head=0):
    weights, visual = double(model), model.visual
    patch, width = visual.conv1.kernel_size[0], visual.conv1.out_channels
    rows, columns = image.shape[1] // patch, image.shape[2] // patch
    kernel = weights["visual.conv1.weight"].reshape(width, -1)
    tokens = [weights["visual.class_embedding"]]
    for row in range(rows):
        for column in range(columns):
            piece = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            tokens.append(kernel @ piece.double().reshape(-1))
    x = torch.stack(tokens) + weights["visual.positional_embedding"]
    x = layer_norm(x, weights, "visual.ln_pre")
    heads = visual.transformer.resblocks[0].attn.num_heads
    depth = len(visual.transformer.resblocks)
    return run_tower(x, weights, "visual.transformer.resblocks", depth, heads, single_head)


def text_story(model, tokens, single_head=0):
    weights, end = double(model), int(tokens.argmax())
    x = weights["token_embedding.weight"][tokens[: end + 1]] + weights["positional_embedding"][: end + 1]
    heads, depth = model.transformer.resblocks[0].attn.num_heads, len(model.transformer.resblocks)
    return run_tower(x, weights, "transformer.resblocks", depth, heads, single_head, causal=True)


def read_image(model, token):
    weights = double(model)
    return unit(layer_norm(token[None], weights, "visual.ln_post")[0] @ weights["visual.proj"])


def read_text(model, token):
    weights = double(model)
    return unit(layer_norm(token[None], weights, "ln_final")[0] @ weights["text_projection"])


def unit(vector):
    return vector / torch.sqrt((vector**2).sum())


def pair_stories(model, image, tokens, image_single=0, text_single=0):
    """Both towers and the cosine of the pair; the last `..._single` blocks of a tower with a single head."""
    seen, read = image_story(model, image, image_single), text_story(model, tokens, text_single)
    cosine = (read_image(model, seen[-1]["x_out"][0]) * read_text(model, read[-1]["x_out"][-1])).sum()
    return seen, read, cosine


def as_array(tensor):
    return tensor.detach().numpy()


def slope(score, tensor):
    return as_array(torch.autograd.grad(score, tensor, retain_graph=True)[0])


def raw_attention(block, position):
    patterns = [as_array(pattern) for pattern in block["patterns"]]
    row = np.zeros(patterns[0].shape[1])
    for pattern in patterns:
        for key in range(len(row)):
            row[key] += pattern[position, key] / len(patterns)
    return row


def mixed_attention(block):
    mean = sum(as_array(pattern) for pattern in block["patterns"]) / len(block["patterns"])
    mixed = np.zeros_like(mean)
    for query in range(len(mean)):
        total = sum(mean[query]) + 1
        for key in range(len(mean)):
            mixed[query, key] = (mean[query, key] + (query == key)) / total
    return mixed


def attention_rollout(story, position):
    joint = np.eye(len(story[0]["x_in"]))
    for block in story:
        mixed, after = mixed_attention(block), np.zeros_like(joint)
        for query in range(len(joint)):
            for middle in range(len(joint)):
                for key in range(len(joint)):
                    after[query, key] += mixed[query, middle] * joint[middle, key]
        joint = after
    return joint[position]


def attention_flow(story, position):
    graph, tokens = networkx.DiGraph(), len(story[0]["x_in"])
    for layer, block in enumerate(story):
        mixed = mixed_attention(block)
        for query in range(tokens):
            for key in range(tokens):
                graph.add_edge((layer + 1, query), (layer, key), capacity=float(mixed[query, key]))
    flow = [networkx.maximum_flow_value(graph, (len(story), position), (0, key)) for key in range(tokens)]
    return np.array(flow) / sum(flow)


def chefer(story, score, position):
    relevance = np.eye(len(story[0]["x_in"]))
    for block in story:
        mean = np.zeros_like(relevance)
        for pattern in block["patterns"]:
            grad, attention = slope(score, pattern), as_array(pattern)
            for query in range(len(mean)):
                for key in range(len(mean)):
                    product = grad[query, key] * attention[query, key]
                    mean[query, key] += max(0.0, product) / len(block["patterns"])
        relevance = relevance + mean @ relevance
    return relevance[position]


def grad_cam(hidden, score, pooled):
    grad, hidden = slope(score, hidden), as_array(hidden)
    tokens, width = hidden.shape
    values = np.zeros(tokens)
    for token in range(tokens):
        for channel in range(width):
            weight = sum(grad[:, channel]) / tokens if pooled else grad[token, channel]
            values[token] += weight * hidden[token, channel]
    return np.maximum(values, 0)


def grad_eclip(model, story, score, position, projected, similar):
    """For each block the values of all tokens before any ReLU; `similar` turns (query, keys) into weights, or None."""
    weights, rows = double(model), []
    for block in story:
        grad, q, k, v = slope(score, block["attn_out"])[position], block["q"], block["k"], as_array(block["v"])
        if projected:
            name = f"{block['name']}.attn.out_proj"
            q, k = (x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"] for x in (q, k))
        sim = similar(as_array(q)[position].tolist(), as_array(k).tolist()) if similar else [1.0] * len(v)
        rows.append([sum(grad[c] * v[i, c] for c in range(len(grad))) * sim[i] for i in range(len(v))])
    return np.array(rows)


def drawn_transform(width, seed):
    """Weights and biases of T in the order in which they are drawn: uniform, over the root of the inputs."""
    draw = torch.Generator().manual_seed(seed)
    pairs = []
    for out, inputs in ((2 * width, width), (width, 2 * width)):
        shapes = (out, inputs), (out,)
        drawn = [torch.empty(shape).uniform_(-1, 1, generator=draw).double() for shape in shapes]
        pairs.append(tuple((part / math.sqrt(inputs)).tolist() for part in drawn))
    return pairs


def mask_clip(model, story, text_embed, version):
    weights, block = double(model), story[-1]
    name, values = block["name"], []
    proj, bias = weights[f"{name}.attn.out_proj.weight"], weights[f"{name}.attn.out_proj.bias"]
    for token in range(1, len(block["v"])):
        if version == "original":
            patch = proj @ block["v"][token] + bias
        else:
            one = slice(token, token + 1)
            patch = rest_of_block(block["x_in"][one], block["v"][one], weights, name)[0]
        value = (read_image(model, patch) * text_embed).sum()
        if version == "grad_eclip":
            value = value * (unit(proj @ block["k"][0] + bias) * unit(proj @ block["k"][token] + bias)).sum()
        values.append(value.item())
    return np.array(values)


def legrad(model, story, text_embed):
    total = np.zeros(len(story[0]["x_in"]))
    for block in story:
        tokens = block["x_out"]
        score = (read_image(model, sum(tokens) / len(tokens)) * text_embed).sum()
        for pattern in block["patterns"]:
            grad = slope(score, pattern)
            for query in range(len(total)):
                for key in range(len(total)):
                    total[key] += max(0.0, grad[query, key]) / len(block["patterns"]) / len(total)
    return total[1:]


def centre_gaussian(rows, columns, sigma):
    out = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            y, x = (row + 0.5) / rows - 0.5, (column + 0.5) / columns - 0.5
            out[row, column] = math.exp(-(y * y + x * x) / (2 * sigma * sigma))
    return out


def edges(image, patch):
    grey = image.double().mean(0).numpy()
    height, width = grey.shape
    kernel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    out = np.zeros((height // patch, width // patch))
    for row in range(height):
        for column in range(width):
            along = across = 0.0
            for y in range(3):
                for x in range(3):
                    near = grey[min(max(row + y - 1, 0), height - 1), min(max(column + x - 1, 0), width - 1)]
                    along, across = along + kernel[y][x] * near, across + kernel[x][y] * near
            out[row // patch, column // patch] += math.hypot(along, across) / patch**2
    return out
