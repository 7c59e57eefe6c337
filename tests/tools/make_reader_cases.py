#!/usr/bin/env python3
"""Writes tests/data/readers: one small file for each container, protocol, element type and byte order that
core/ reads, and beside each NAME the text NAME.txt of what Python itself loads from it, in the notation of
tests/unit/reader_text.h. Needs torch 1.13, numpy 1.24, joblib 1.2 and the lz4 program. Run by hand:
    tests/tools/make_reader_cases.py tests/data/readers"""
import argparse
import collections
import gzip
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import joblib
import numpy as np
import torch

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def number(x):
    return "%.9g" % x


def leaf_array(dtype, shape, flat):
    return "%s(%s)[%s]" % (dtype, ",".join(map(str, shape)), " ".join(flat))


def show(v):
    if v is None:
        return "None"
    if isinstance(v, (bool, np.bool_)):
        return str(bool(v))
    if isinstance(v, (int, np.integer)):
        return str(int(v))
    if isinstance(v, (float, np.floating)):
        return number(float(v))
    if isinstance(v, str):
        return '"%s"' % v
    if isinstance(v, (bytes, bytearray)):
        return "b" + bytes(v).hex()
    if isinstance(v, torch.Tensor):
        flat = v.detach().flatten()
        flat = [number(float(x)) for x in flat] if not flat.is_complex() else flat.numpy()
        if len(flat) and isinstance(flat[0], np.complexfloating):
            flat = ["%s %s" % (number(x.real), number(x.imag)) for x in flat]
        return leaf_array(str(v.dtype)[6:], v.shape, flat)
    if isinstance(v, np.ndarray):
        if v.dtype.kind in "OUS":
            return show(v.tolist())
        if v.dtype.kind == "c":
            flat = ["%s %s" % (number(x.real), number(x.imag)) for x in v.flatten()]
        else:
            flat = [number(float(x)) for x in v.flatten()]
        return leaf_array(v.dtype.newbyteorder("=").name, v.shape, flat)
    if isinstance(v, dict):
        return "{" + ", ".join(show(k) + ": " + show(x) for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple)):
        return "[" + ", ".join(show(x) for x in v) + "]"
    if isinstance(v, (torch.dtype, torch.device)):
        return "<torch.%s>" % ("device" if isinstance(v, torch.device) else str(v)[6:])
    return "<%s.%s>" % (type(v).__module__, type(v).__qualname__)


def path(name):
    return os.path.join(out, name)


def expect(name, value):
    with open(path(name + ".txt"), "w", encoding="utf-8") as f:
        f.write(show(value))


ramp = np.arange(6).reshape(2, 3)

# npy: every element type in both byte orders, both memory orders, three header versions
for code in "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1 c8 c16".split():
    for order in "<>" if code[1:] != "1" else "|":
        a = (ramp - 2 if code[0] not in "bu" else ramp).astype(order + code)
        name = "%s_%s.npy" % (code, {"<": "little", ">": "big", "|": "byte"}[order])
        np.save(path(name), a)
        expect(name, np.load(path(name)))
np.save(path("columns.npy"), np.asfortranarray(ramp.astype("f4")))
expect("columns.npy", ramp.astype("f4"))
np.save(path("scalar.npy"), np.float64(2.5))
expect("scalar.npy", np.load(path("scalar.npy")))
np.save(path("empty.npy"), np.zeros((0, 5), "f4"))
expect("empty.npy", np.zeros((0, 5), "f4"))
np.save(path("text.npy"), np.array(["walk", "dr\u00fccken", ""]))
expect("text.npy", np.load(path("text.npy")))
for version in (2, 3):
    with open(path("version%d.npy" % version), "wb") as f:
        np.lib.format.write_array(f, ramp.astype("i2"), version=(version, 0))
    expect("version%d.npy" % version, ramp.astype("i2"))
sample = {"pose": ramp.astype("f4"), "text": "turn l\u00e4nger"}
np.save(path("object.npy"), sample)
expect("object.npy", sample)
np.save(path("objects.npy"), np.array([{"a": 1}, None, "x"], dtype=object))
expect("objects.npy", np.load(path("objects.npy"), allow_pickle=True))

# npz, stored and deflated
np.savez(path("plain.npz"), a=ramp, b=np.float32(3))
expect("plain.npz", {"a": ramp, "b": np.array(3, "f4")})
np.savez_compressed(path("deflated.npz"), poses=ramp.astype("f4"), gender=np.array("neutral"))
expect("deflated.npz", {"poses": ramp.astype("f4"), "gender": "neutral"})

# pickles of every protocol
plain = {
    "none": None,
    "flags": [True, False],
    "ints": [0, 255, 256, -1, 65536, -(2**31), 2**40, -(2**63), 2**63 - 1],
    "floats": (0.5, -1e300),
    "text": "na\u00efve \u2603 \U0001f600 \\u 'q' \"d\" \n",
    "bytes": b"\x00\xff\x80abc",
    "nested": [[], {}, (), [[1], (2, 3, 4, 5)]],
    3: "three",
    "array": ramp.astype("f4"),
    "columns": np.asfortranarray(ramp.astype(">i2")),
    "scalar": np.float32(1.5),
    "half": np.float16(0.25),
    "count": np.int64(-7),
    "yes": np.bool_(True),
    "ordered": collections.OrderedDict([("z", 1), ("a", 2)]),
    "default": collections.defaultdict(list, {"k": [1]}),
    "bytearray": bytearray(b"xyz"),
}
shared = ["once"]
plain["shared"] = [shared, shared]
for protocol in range(6):
    name = "protocol%d.pkl" % protocol
    with open(path(name), "wb") as f:
        pickle.dump(plain, f, protocol)
    expect(name, plain)
big = {"%04d" % i: i for i in range(1013)}  # two SETITEMS batches
with open(path("batches.pkl"), "wb") as f:
    pickle.dump(big, f, 4)
expect("batches.pkl", big)

# torch, both containers
base = torch.arange(12, dtype=torch.float32)
net = torch.nn.Linear(2, 2)
with torch.no_grad():
    for p in net.parameters():
        p.copy_(torch.arange(p.numel()).reshape(p.shape))
state = {
    "state_dict": net.state_dict(),
    "parameter": net.bias,
    "view": base[2:8].reshape(2, 3),
    "transposed": base.reshape(3, 4).t(),
    "same": base,
    "expanded": base[1:2].expand(3),
    "f64": torch.tensor([1.5], dtype=torch.float64),
    "f16": torch.tensor([0.5, -2.0], dtype=torch.float16),
    "bf16": torch.tensor([0.5, -2.0], dtype=torch.bfloat16),
    "i64": torch.tensor([[-1, 2]]),
    "i32": torch.tensor([3], dtype=torch.int32),
    "i16": torch.tensor([4], dtype=torch.int16),
    "i8": torch.tensor([-5], dtype=torch.int8),
    "u8": torch.tensor([250], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "c64": torch.tensor([1 + 2j]),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(7.0),
    "size": torch.Size([2, 3]),
    "dtype": torch.float32,
    "device": torch.device("cpu"),
    "args": argparse.Namespace(lr=0.1),
    "step": 12,
}
for name, zipped in (("zip.pt", True), ("legacy.pt", False)):
    torch.save(state, path(name), _use_new_zipfile_serialization=zipped)
    expect(name, state)

# the same zip as a machine of the other byte order writes it
small = {"w": torch.tensor([1.0, 2.0, -3.5]), "i": torch.tensor([258], dtype=torch.int16)}
torch.save(small, path("small.pt"))
with zipfile.ZipFile(path("small.pt")) as z, zipfile.ZipFile(path("big_endian.pt"), "w") as b:
    for e in z.namelist():
        data = z.read(e)
        if e.endswith("data/0"):
            data = struct.pack(">3f", *struct.unpack("<3f", data))
        if e.endswith("data/1"):
            data = data[::-1]
        b.writestr(e, data)
    b.writestr("small/byteorder", "big")
expect("big_endian.pt", small)
expect("small.pt", small)

# joblib: tensors and arrays, plain and compressed
pairs = {
    "000021": {
        "motion_source": {"rots": torch.from_numpy(ramp.astype("f4")), "trans": base[:3].reshape(1, 3)},
        "text": "raise the arm",
    },
    "array": ramp.astype("f4"),
    "columns": np.asfortranarray(ramp.astype("f8")),
    "objects": np.array([1, "two", None], dtype=object),
    "none": np.zeros((0, 3), "f4"),
}
joblib.dump(pairs, path("plain.pth.tar"))
expect("plain.pth.tar", pairs)
for method in "zlib gzip bz2 xz lzma".split():
    joblib.dump(pairs, path("joblib." + method), compress=(method, 3))
    expect("joblib." + method, pairs)
joblib.dump(pairs, path("protocol2.joblib"), protocol=2)
expect("protocol2.joblib", pairs)
if subprocess.run(["sh", "-c", "command -v lz4"], capture_output=True).returncode == 0:
    subprocess.run(["lz4", "-qf", path("plain.pth.tar"), path("joblib.lz4")], check=True)
    expect("joblib.lz4", pairs)

# safetensors, written here by hand
data = ramp.astype("<f4").tobytes() + struct.pack("<2H", 0x3F80, 0xC000)
header = json.dumps(
    {
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "h": {"dtype": "BF16", "shape": [2], "data_offsets": [24, 28]},
    }
).encode()
header += b" " * (-len(header) % 8)
with open(path("two.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(header)) + header + data)
expect("two.safetensors", {"w": ramp.astype("f4"), "h": torch.tensor([1.0, -2.0], dtype=torch.bfloat16)})
