#!/usr/bin/env python3
"""Fills tests/fuzz/corpus/<target> for the readers' fuzz targets from tests/data/readers (which
make_reader_cases.py writes) and a few hand-made hostile files. Run by hand from the repository's root."""
import os
import shutil
import struct

CASES = "tests/data/readers"
targets = {
    "npy": lambda n: n.endswith(".npy"),
    "npz": lambda n: n.endswith(".npz"),
    "pickle": lambda n: n.startswith("protocol") and n.endswith(".pkl"),
    "torch": lambda n: n in ("small.pt", "big_endian.pt", "legacy.pt", "zip.pt"),
    "joblib": lambda n: n in ("plain.pth.tar", "protocol2.joblib"),
    "compress": lambda n: n.startswith("joblib."),
    "safetensors": lambda n: n.endswith(".safetensors"),
}
magic = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
hostile = {
    "npy": {
        "huge_shape": b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 70)
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296), }"[:69]
        + b"\n",
        "huge_header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    },
    "pickle": {
        "system": b"\x80\x02cos\nsystem\nU\x02id\x85R.",
        "cycle": b"\x80\x02]q\x00h\x00a.",
        "bomb": b"\x80\x02]q\x00" + b"".join(b"(" + b"h%c" % i * 9 + b"lq%c" % (i + 1) for i in range(30)) + b".",
        "deep": b"\x80\x02" + b"]" * 500 + b"a" * 499 + b".",
        "long4": b"\x80\x02\x8b\xff\xff\xff\x7f\x00.",
        "memo": b"\x80\x02Nr\xff\xff\xff\xff.",
    },
    "torch": {"bare": magic + b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02].\x80\x02]."},
    "safetensors": {"gap": struct.pack("<Q", 62) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}        ' + b"12345678"},
}
for target, wanted in targets.items():
    folder = os.path.join("tests/fuzz/corpus", target)
    os.makedirs(folder, exist_ok=True)
    for name in sorted(os.listdir(CASES)):
        if wanted(name) and os.path.getsize(os.path.join(CASES, name)) <= 8192:
            shutil.copy(os.path.join(CASES, name), folder)
    for name, data in hostile.get(target, {}).items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
