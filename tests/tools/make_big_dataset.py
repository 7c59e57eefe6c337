#!/usr/bin/env python3
"""Writes a MotionFix-like joblib file of any size, for timing the reader:
    make_big_dataset.py OUT.pth.tar [PAIRS] [FRAMES] [tensor|array]
1013 pairs of 100 frames with their joint positions are about 110 MB. Needs torch, numpy, joblib."""
import sys

import joblib
import numpy as np
import torch

out = sys.argv[1]
pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 1013
frames = int(sys.argv[3]) if len(sys.argv) > 3 else 100
as_tensor = len(sys.argv) <= 4 or sys.argv[4] == "tensor"
rng = np.random.RandomState(0)
leaf = torch.from_numpy if as_tensor else (lambda a: a)


def motion(n):
    return {
        "rots": leaf(rng.standard_normal((n, 66)).astype("f4")),
        "trans": leaf(rng.standard_normal((n, 3)).astype("f4")),
        "joint_positions": leaf(rng.standard_normal((n, 22, 3)).astype("f4")),
    }


data = {
    "%06d" % i: {
        "motion_source": motion(frames),
        "motion_target": motion(frames),
        "text": "edit %d" % i,
    }
    for i in range(pairs)
}
joblib.dump(data, out)
