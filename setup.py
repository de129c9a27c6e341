"""Package metadata; every pin carries its reason."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "mindspore_dpus/__init__.py").read_text())[1]

DICOM = [
    # ``pydicom.pixels`` came with 3.0.
    "pydicom>=3,<4",
    # Its plug-in for JPEG and JPEG 2000 of 8 and 16 bits.
    "pillow>=10",
]
# What TIFF may also be packed with: JPEG 2000, JPEG XL, WebP, LERC, 12-bit JPEG. Apart: it weighs 25 MB
# (74 MB unpacked), and all that is common (LZW, Deflate, JPEG) needs it not. Tried with NumPy 1.26.
TIFF = ["imagecodecs>=2024.12.30"]
# Plug-ins for lossless JPEG, 12-bit JPEG and JPEG-LS. Apart, as the second is under the GPL; from 2.3
# on, it wants NumPy 2.
DICOM_JPEG = ["pylibjpeg>=2.0,<3", "pylibjpeg-libjpeg>=2.2,<2.3"]
# Members on several machines (training.executor ray). Leaves NumPy and protobuf as MindSpore needs them;
# streaming generators, and ``ray.wait`` on them, are settled since 2.10. Only 2.60 was run.
RAY = ["ray>=2.10,<3"]
# Sound of another sample rate than the system's.
RESAMPLING = ["soxr>=0.5,<2"]
# predict --stream microphone; on Linux it needs the system's PortAudio.
MICROPHONE = ["sounddevice>=0.4.6,<1"]
# librosa and pycocotools are references in tests, never dependencies of the product.
TEST = [
    # What the numbers in the documentation were made with: the last digits of others differ.
    "mindspore<2.9",
    "pytest>=8,<10",
    "pytest-xdist>=3.6,<4",
    "hypothesis>=6.100,<7",
    "librosa>=0.11,<0.12",
    "pycocotools>=2.0.8,<3",
]
# For tools/export.py. These leave NumPy 1.26 and protobuf as MindSpore needs them.
EXPORT = ["onnx>=1.18,<2", "onnxruntime>=1.20,<2"]

setup(
    name="mindspore_dpus",
    version=VERSION,
    description="Defects in castings, traffic signs and machine sound: imbalanced recognition on MindSpore",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["mindspore_dpus", "mindspore_dpus.*"]),
    package_data={"mindspore_dpus.report": ["templates/*.j2"]},
    python_requires=">=3.11,<3.13",
    entry_points={"console_scripts": ["mindspore-dpus = mindspore_dpus.cli.main:main"]},
    install_requires=[
        # The suite has run with 2.8, 2.9 and 2.10. From 2.9 on, MindSpore's own convolutions are 100 times
        # slower on CPU: there, they go through oneDNN, unless somebody switches that off.
        "mindspore>=2.7,<2.11",
        # All of these are compiled against NumPy 1.x; 2.10 does not say so.
        "numpy>=1.26,<2",
        # From 4.12 on, opencv-python wants NumPy 2.
        "opencv-python>=4.10,<4.12",
        # What is in a TIFF file; by the calendar, and what is used of it may change with the year.
        "tifffile>=2024.8.10,<2027",
        # Its libtiff unpacks LZW, JPEG, PackBits, CCITT and Zstandard.
        "pillow>=10.3",
        # The newest on PyPI; its models and registry are used, nothing else.
        "mindcv==0.3.0",
        "scikit-learn>=1.6,<2",
        # ``norm``, ``beta``, ``minimize``: long stable; scikit-learn brings it anyway.
        "scipy>=1.11,<2",
        # The sampler's base class and tags change from one 0.x to the next.
        "imbalanced-learn>=0.14,<0.15",
        "pandas>=2.2,<4",
        "matplotlib>=3.9,<4",
        # For depthwise convolutions and batch norms, at which MindSpore is slow on CPU.
        "numba>=0.60,<1",
        # 4.53 can be told to import nothing that a value names (``import_path_denylist``);
        # ``signatures`` reads docstrings for --help.
        "jsonargparse[signatures]>=4.53,<5",
        "PyYAML>=6",
        "jinja2>=3.1,<4",
        "safetensors>=0.5,<1",
        "tqdm>=4.66,<5",
        # WAV and FLAC of any depth; brings its own libsndfile.
        "soundfile>=0.12,<1",
        "packaging>=23",
    ],
    extras_require={
        "dicom": DICOM,
        "dicom-jpeg": DICOM_JPEG,
        "tiff": TIFF,
        "export": EXPORT,
        "ray": RAY,
        # To predict from an exported graph beside MindSpore; without it: requirements/deploy.txt.
        "deploy": ["onnxruntime>=1.20,<2"],
        "resampling": RESAMPLING,
        "microphone": MICROPHONE,
        "test": [*TEST, *DICOM, *DICOM_JPEG, *EXPORT, *RESAMPLING],
        # atheris: for ``python -m tests.fuzz --engine atheris``.
        # Ray's wheel has 79 MB and imagecodecs' 26: with them, the tests of a cluster and of rare TIFF files
        # run in .ci/run. torch (550 MB and its CUDA packages) is left out; tests/known_skips.py lists what
        # skips for it.
        "dev": [
            *TEST,
            "ruff>=0.14,<1",
            "atheris>=3,<4",
            *DICOM,
            *DICOM_JPEG,
            *TIFF,
            *EXPORT,
            *RAY,
            *RESAMPLING,
        ],
        # Only compared with, in tests that skip without it; never a dependency of the product.
        "reference": ["torch>=2.4"],
    },
)
