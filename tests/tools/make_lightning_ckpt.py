#!/usr/bin/env python3
"""Writes tests/data/lightning: a checkpoint as PyTorch Lightning's Trainer leaves it after a step of a tiny
SimMotionEdit, laid out as the reference's training is (editor behind `denoiser.`, CLIP behind `text_encoder.`,
OmegaConf objects as hyper-parameters, a ModelCheckpoint, AdamW), and the .npy of its feature statistics.
Every number follows from its tensor's name, see value(). Needs torch, pytorch-lightning 2.2 and omegaconf.
Run by hand:
    tests/tools/make_lightning_ckpt.py tests/data/lightning"""
import functools
import os
import sys
import tempfile

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

out = sys.argv[1]
W, FF, TEXT, HEAD, FEATURES = 2, 6, 16, 3, 207


def linear(name, rows, columns):
    return [(name + ".weight", (rows, columns)), (name + ".bias", (rows,))]


def editor():
    shapes = [("feat_comb_coeff", (1,)), ("sep_token", (1, W))]
    for name in ("pose_proj_in_source", "pose_proj_in_target"):
        shapes += linear(name, W, FEATURES)
    shapes += linear("pose_proj_out", FEATURES, W) + linear("emb_proj", W, TEXT)
    shapes += [("dit_encoder.pos_embed", (1, 500, W))]
    shapes += linear("dit_encoder.t_embedder.mlp.0", W, 256) + linear("dit_encoder.t_embedder.mlp.2", W, W)
    block = "dit_encoder.blocks.0."
    shapes += linear(block + "attn.qkv", 3 * W, W) + linear(block + "attn.proj", W, W)
    shapes += linear(block + "mlp.fc1", FF, W) + linear(block + "mlp.fc2", W, FF)
    shapes += linear(block + "adaLN_modulation.1", 6 * W, W)
    layer = "cond_encoder.layers.0."
    shapes += [(layer + "self_attn.in_proj_weight", (3 * W, W)), (layer + "self_attn.in_proj_bias", (3 * W,))]
    shapes += linear(layer + "self_attn.out_proj", W, W)
    shapes += linear(layer + "linear1", FF, W) + linear(layer + "linear2", W, FF)
    for norm in ("norm1", "norm2"):
        shapes += [(layer + norm + ".weight", (W,)), (layer + norm + ".bias", (W,))]
    for head, width in (("source_head", 3), ("target_head", 4)):
        shapes += linear(head + ".0", HEAD, W) + linear(head + ".2", HEAD, HEAD) + linear(head + ".4", width, HEAD)
    return shapes


def value(name, shape):
    """Element k of a tensor: ((k + length of its name) mod 11 - 5) / 16, exact in float32."""
    k = torch.arange(int(np.prod(shape)), dtype=torch.float32)
    return (((k + len(name)) % 11 - 5) / 16).reshape(shape)


class Tree(torch.nn.Module):
    def put(self, name, parameter):
        first, _, rest = name.partition(".")
        if rest:
            if not hasattr(self, first):
                self.add_module(first, Tree())
            getattr(self, first).put(rest, parameter)
        else:
            self.register_parameter(first, parameter)

    def get(self, name):
        first, _, rest = name.partition(".")
        return getattr(self, first).get(rest) if rest else getattr(self, first)


class Editor(pl.LightningModule):
    def __init__(self, diff_params, losses, optimizer, input_feats, dim_per_feat, make_optimizer, statistics_path):
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.text_encoder = Tree()
        self.text_encoder.put("text_model.text_model.final_layer_norm.weight", torch.nn.Parameter(torch.ones(TEXT)))
        self.denoiser = Tree()
        for name, shape in editor():
            self.denoiser.put(name, torch.nn.Parameter(value(name, shape)))

    def _register_sharded_tensor_state_dict_hooks_if_available(self):
        """Sharded tensors of torch 1.13 cannot be imported by Python 3.11, and are not needed."""

    def training_step(self, batch, _):
        return (self.denoiser.get("sep_token") * batch[0]).sum() + self.denoiser.get("emb_proj.bias").sum()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.0)  # a step that moves nothing
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 10)}


def main():
    os.makedirs(out, exist_ok=True)
    config = OmegaConf.create(
        {
            "diff_params": {"num_train_timesteps": 300, "noise_schedule": "squaredcos_cap_v2", "predict": "sample"},
            "losses": {"loss_func": "mse", "weights": [1, 0.5], "classes": {"dim": 3, "use": True}},
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-4, "name": "${losses.loss_func}"},
            "input_feats": ["body_transl_delta_pelv", "body_orient_xy"],
            "dim_per_feat": [3, 6],
        }
    )
    model = Editor(make_optimizer=functools.partial(torch.optim.AdamW, lr=1e-4), statistics_path=None, **{key: config[key] for key in config})
    with tempfile.TemporaryDirectory() as folder:
        keep = pl.callbacks.ModelCheckpoint(dirpath=folder, save_last=True, monitor="step", mode="max", save_top_k=1)
        pl.seed_everything(42)
        trainer = pl.Trainer(max_steps=1, accelerator="cpu", logger=False, callbacks=[keep],
                             enable_progress_bar=False, enable_model_summary=False)
        trainer.fit(model, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, W))))
        checkpoint = torch.load(os.path.join(folder, "last.ckpt"))
        print({key: type(item).__name__ for key, item in checkpoint.items()})
        print({key: type(item).__name__ for key, item in checkpoint["hyper_parameters"].items()})
        with open(os.path.join(folder, "last.ckpt"), "rb") as read, open(os.path.join(out, "last.ckpt"), "wb") as to:
            to.write(read.read())
    widths = {"body_transl": 3, "body_transl_delta_pelv": 3, "body_orient_xy": 6, "z_orient_delta": 6,
              "body_pose": 126, "body_joints_local_wo_z_rot": 66}
    statistics = {name: {"mean": torch.arange(width, dtype=torch.float32) / 64, "std": torch.ones(width)}
                  for name, width in widths.items()}
    np.save(os.path.join(out, "statistics.npy"), statistics)


main()
