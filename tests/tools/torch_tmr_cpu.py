#!/usr/bin/env python3
"""The training step of TMR in PyTorch on the CPU, to be timed beside `mebench train --device cpu`.

The networks of torch.nn with the sizes of `--width --ff --layers --heads`, batches padded to their longest clip as
PyTorch code does, losses and AdamW as in models/tmr_net.c. Clip lengths come from a normal law of mean 100 and
deviation 40 frames, cut to 40..200; texts have 8 to 16 tokens of 256 numbers. Prints the median seconds of a step.

Usage: torch_tmr_cpu.py [--threads 2] [--batch 32] [--steps 5] [--width 256] [--ff 1024] [--layers 6] [--heads 4]
OpenBLAS and MKL read their thread counts from the environment; no core type should be forced on either of them.
"""
import argparse
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

a = argparse.ArgumentParser()
for name, value in dict(threads=2, batch=32, steps=5, width=256, ff=1024, layers=6, heads=4).items():
    a.add_argument("--" + name, type=int, default=value)
a = a.parse_args()
torch.manual_seed(0)
torch.set_num_threads(a.threads)


class Encoder(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.projection, self.tokens = nn.Linear(columns, a.width), nn.Parameter(torch.randn(2, a.width))
        layer = nn.TransformerEncoderLayer(a.width, a.heads, a.ff, 0.1, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, a.layers)
        self.positions = nn.Parameter(torch.randn(1, 512, a.width), requires_grad=False)

    def forward(self, x, mask):
        x = torch.cat([self.tokens.expand(len(x), -1, -1), self.projection(x)], 1)
        x = F.dropout(x + self.positions[:, : x.shape[1]], 0.1)
        x = self.layers(x, src_key_padding_mask=~F.pad(mask, (2, 0), value=True))
        return x[:, 0], x[:, 1]


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerDecoderLayer(a.width, a.heads, a.ff, 0.1, "gelu", batch_first=True)
        self.layers, self.final = nn.TransformerDecoder(layer, a.layers), nn.Linear(a.width, 135)
        self.positions = nn.Parameter(torch.randn(1, 512, a.width), requires_grad=False)

    def forward(self, z, mask):
        x = F.dropout(self.positions[:, : mask.shape[1]].expand(len(z), -1, -1), 0.1)
        x = self.final(self.layers(x, z[:, None], tgt_key_padding_mask=~mask))
        return x * mask[..., None]


def kl(m, a_, n, b):
    return 0.5 * (torch.exp(a_ - b) + (n - m) ** 2 * torch.exp(-b) - 1 - (a_ - b)).mean()


motion, text, decoder = Encoder(135), Encoder(256), Decoder()
parameters = [p for m in (motion, text, decoder) for p in m.parameters() if p.requires_grad]
optimiser = torch.optim.AdamW(parameters, 1e-4)


def batch():
    lengths = torch.clamp((torch.randn(a.batch) * 40 + 100).int(), 40, 200)
    words = torch.randint(8, 17, (a.batch,))
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    word_mask = torch.arange(int(words.max()))[None] < words[:, None]
    return (torch.randn(a.batch, mask.shape[1], 135) * mask[..., None], mask,
            torch.randn(a.batch, word_mask.shape[1], 256), word_mask)


def step():
    x, mask, w, word_mask = batch()
    optimiser.zero_grad(set_to_none=True)
    (m, lm), (t, lt) = motion(x, mask), text(w, word_mask)
    zm, zt = m + torch.randn_like(m) * torch.exp(lm / 2), t + torch.randn_like(t) * torch.exp(lt / 2)
    recons = F.smooth_l1_loss(decoder(zt, mask), x) + F.smooth_l1_loss(decoder(zm, mask), x)
    zero = torch.zeros_like(m)
    divergence = kl(t, lt, m, lm) + kl(m, lm, t, lt) + kl(m, lm, zero, zero) + kl(t, lt, zero, zero)
    s = F.normalize(zt, dim=-1) @ F.normalize(zm, dim=-1).T / 0.1
    label = torch.arange(a.batch)
    contrastive = 0.5 * (F.cross_entropy(s, label) + F.cross_entropy(s.T, label))
    loss = recons + 1e-5 * divergence + 1e-5 * F.smooth_l1_loss(zt, zm) + 0.1 * contrastive
    loss.backward()
    optimiser.step()


step()
times = []
for _ in range(a.steps):
    start = time.process_time(), time.perf_counter()
    step()
    times.append((time.perf_counter() - start[1], time.process_time() - start[0]))
wall, cpu = sorted(times)[len(times) // 2]
print(f"torch {torch.__version__}, {a.threads} threads, batch {a.batch}: {wall:.3f} s a step, {cpu:.3f} s of processor time")
