"""DICOM files written by pydicom, for tests."""

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pydicom is missing: pip install -e '.[dicom]'")


def make_dicom(stored, **elements):
    """A dataset of one grey frame, (H, W), or of several, (F, H, W); ``elements`` by keyword."""
    stored = np.asarray(stored)
    frames = stored if stored.ndim == 3 else stored[None]
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = elements.pop("syntax", pydicom.uid.ExplicitVRLittleEndian)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = frames.shape[1:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * stored.dtype.itemsize
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    if stored.ndim == 3:
        dataset.NumberOfFrames = len(frames)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    if "PixelData" not in dataset:
        dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
        dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    return dataset


def write_dicom(path, stored, **elements):
    make_dicom(stored, **elements).save_as(path, enforce_file_format=True)
    return path


def lut(entries, first=0, bits=16):
    """A look-up table, as an item of a sequence."""
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", list(entries))
    return item


def group(name, **elements):
    """A functional group of a multi-frame file; its sequence ``name`` holds the elements."""
    inner, outer = pydicom.Dataset(), pydicom.Dataset()
    for key, value in elements.items():
        setattr(inner, key, value)
    setattr(outer, name, [inner])
    return outer
