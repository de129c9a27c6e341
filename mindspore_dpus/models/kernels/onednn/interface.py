"""The C interface of oneDNN: the numbers of its enums, and calls that differ by version.

Version 2.2 comes with MindSpore 2.7 and 2.8, version 3 with later ones. Enums and sizes are those of the
public headers (``oneapi/dnnl/dnnl_types.h``) of 2.2, 3.2 and 3.13.
"""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from pathlib import Path

FLOAT32 = 3
CPU = 1
IN_ORDER = 1
USER_SCRATCHPAD = 1
TRAINING, INFERENCE = 64, 96
DIRECT, WINOGRAD = 1, 2
# Runtimes in which a stream without a threadpool is one thread.
SEQUENTIAL, THREADPOOL = 1, 8

# What a primitive is executed with (DNNL_ARG_...).
ARGUMENTS = {
    "source": 1,
    "result": 17,
    "weights": 33,
    "bias": 41,
    "scratchpad": 80,
    "source_gradient": 129,
    "result_gradient": 145,
    "weights_gradient": 161,
}
# Where a primitive's descriptor tells the layout of each (dnnl_query_..._md).
LAYOUT_QUERIES = {
    "source": 129,
    "source_gradient": 130,
    "weights": 131,
    "weights_gradient": 132,
    "result": 133,
    "result_gradient": 134,
    "scratchpad": 136,
}
IMPLEMENTATION_QUERY = 8
MAX_DIMENSIONS = 12
# Of version 2.2: a memory descriptor, and more than the largest operation descriptor.
MEMORY_DESCRIPTOR_SIZE, OPERATION_DESCRIPTOR_SIZE = 696, 8192

# (number of dimensions, block) -> format tag; block 0 is plain, None is what the primitive likes best.
FORMATS = {
    2: {
        (1, 0): 2,
        (4, 0): 5,
        (5, 0): 7,
        (4, 16): 69,
        (4, 8): 93,
        (1, None): 1,
        (4, None): 1,
        (5, None): 1,
    },
    3: {
        (1, 0): 2,
        (4, 0): 5,
        (5, 0): 6,
        (4, 16): 78,
        (4, 8): 102,
        (1, None): 1,
        (4, None): 1,
        (5, None): 1,
    },
}
RELU = {2: 31, 3: 32}
CLIP = {2: 255, 3: 46}


class OneDnnError(RuntimeError):
    """oneDNN returned an error."""


class Argument(ctypes.Structure):
    """``dnnl_exec_arg_t``."""

    _fields_ = [("place", c_int), ("memory", c_void_p)]


class _Version(ctypes.Structure):
    """``dnnl_version_t``."""

    _fields_ = [
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    ]


def dimensions(values: tuple[int, ...]) -> ctypes.Array:
    """``dnnl_dims_t``."""
    return (c_int64 * MAX_DIMENSIONS)(*values)


class Owned:
    """A handle that is given back when nobody holds it any more.

    Args:
        destroy: takes the handle.
        handle: what oneDNN has filled in.
        keep: what must live as long.
    """

    __slots__ = ("_destroy", "_keep", "handle")

    def __init__(self, destroy, handle: c_void_p, keep: tuple = ()) -> None:
        self.handle = handle
        self._destroy = destroy
        self._keep = keep

    def __del__(self) -> None:
        if self.handle:
            self._destroy(self.handle)


class Interface:
    """The functions of one library file.

    Args:
        path: ``libdnnl.so.2`` or ``.3``.

    Attributes:
        version: (major, minor, patch).
        runtime: who makes its threads (``dnnl_cpu_..._runtime``).

    Raises:
        OSError: it cannot be loaded.
        AttributeError: it lacks a function.
        OneDnnError: the version is not known, or its engine does not start.
    """

    def __init__(self, path: Path) -> None:
        # Calls of the first kind let other threads of Python run; the others are too short for that.
        self._long, self._short = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
        *version, self.runtime = version_of(self._short)
        self.version = tuple(version)
        self.major = version[0]
        if self.major not in FORMATS or (self.major == 2 and self.version[1] != 2):
            raise OneDnnError(f"version {'.'.join(map(str, self.version))} is not known")
        self._declare()
        self.engine = c_void_p()
        check(self._short.dnnl_engine_create(byref(self.engine), CPU, c_size_t(0)), "engine")
        stream = c_void_p()
        check(self._short.dnnl_stream_create(byref(stream), self.engine, IN_ORDER), "stream")
        self._stream = stream

    def _declare(self) -> None:
        short = self._short
        short.dnnl_memory_desc_get_size.restype = c_size_t
        short.dnnl_memory_desc_get_size.argtypes = [c_void_p]
        short.dnnl_primitive_desc_query_md.restype = c_void_p
        short.dnnl_primitive_desc_query_md.argtypes = [c_void_p, c_int, c_int]
        short.dnnl_memory_set_data_handle.argtypes = [c_void_p, c_void_p]
        short.dnnl_memory_create.argtypes = [POINTER(c_void_p), c_void_p, c_void_p, c_void_p]
        self._long.dnnl_primitive_execute.argtypes = [c_void_p, c_void_p, c_int, c_void_p]
        self._long.dnnl_stream_wait.argtypes = [c_void_p]
        eltwise = [c_int, c_float, c_float]
        if self.major == 2:
            short.dnnl_post_ops_append_eltwise.argtypes = [c_void_p, c_float, *eltwise]
            short.dnnl_post_ops_append_sum.argtypes = [c_void_p, c_float]
        else:
            short.dnnl_post_ops_append_eltwise.argtypes = [c_void_p, *eltwise]
            short.dnnl_post_ops_append_sum.argtypes = [c_void_p, c_float, c_int, c_int]

    def layout(self, shape: tuple[int, ...], block: int | None) -> Owned:
        """How an array lies in memory: plain (0), channels in blocks of 8 or 16, or as a primitive likes
        it (None)."""
        tag = FORMATS[self.major][len(shape), block]
        if self.major == 2:
            # A structure that the caller owns.
            space = ctypes.create_string_buffer(MEMORY_DESCRIPTOR_SIZE)
            init = self._short.dnnl_memory_desc_init_by_tag
            check(init(space, len(shape), dimensions(shape), FLOAT32, tag), "layout")
            return Owned(_nothing, ctypes.cast(space, c_void_p), (space,))
        handle = c_void_p()
        create = self._short.dnnl_memory_desc_create_with_tag
        check(create(byref(handle), len(shape), dimensions(shape), FLOAT32, tag), "layout")
        return Owned(self._short.dnnl_memory_desc_destroy, handle)

    def size(self, layout: c_void_p | int) -> int:
        """Bytes."""
        return self._short.dnnl_memory_desc_get_size(layout)

    def attributes(self, add: bool, activation: str | None) -> Owned:
        """What a convolution does besides: add to what is there, and cut off.

        The library's own scratchpad is shared by all threads that execute a primitive, and then gives
        wrong numbers without a word: it is always ours.
        """
        short, steps = self._short, c_void_p()
        check(short.dnnl_post_ops_create(byref(steps)), "post-operations")
        owned = Owned(short.dnnl_post_ops_destroy, steps)
        version2 = self.major == 2
        if add:
            check(short.dnnl_post_ops_append_sum(steps, 1.0, *(() if version2 else (0, 0))), "sum")
        if activation is not None:
            kind, *bounds = {
                "relu": (RELU[self.major], 0.0, 0.0),
                "relu6": (CLIP[self.major], 0.0, 6.0),
            }[activation]
            scale = (1.0,) if version2 else ()
            check(short.dnnl_post_ops_append_eltwise(steps, *scale, kind, *bounds), "activation")
        handle = c_void_p()
        check(short.dnnl_primitive_attr_create(byref(handle)), "attributes")
        found = Owned(short.dnnl_primitive_attr_destroy, handle)
        check(short.dnnl_primitive_attr_set_scratchpad_mode(handle, USER_SCRATCHPAD), "scratchpad")
        check(short.dnnl_primitive_attr_set_post_ops(handle, owned.handle), "post-operations")
        return found

    def describe_forward(
        self,
        training: bool,
        algorithm: int,
        layouts: tuple[Owned, Owned, Owned | None, Owned],
        geometry: tuple,
        attributes: Owned,
    ) -> Owned:
        """The descriptor of a convolution: of source, weights, bias and result."""
        kind = TRAINING if training else INFERENCE
        return self._describe(
            "forward", (kind, algorithm), [_raw(one) for one in layouts], geometry, attributes, None
        )

    def describe_backward_data(
        self, layouts: tuple[Owned, Owned, Owned], geometry: tuple, attributes: Owned, forward: Owned
    ) -> Owned:
        """The descriptor of the gradient of the source, whose layout is told with those of weights and
        of the result's gradient."""
        told = [_raw(one) for one in layouts]
        return self._describe("backward_data", (DIRECT,), told, geometry, attributes, forward)

    def describe_backward_weights(
        self, layouts: tuple[Owned, Owned, Owned], geometry: tuple, attributes: Owned, forward: Owned
    ) -> Owned:
        """The descriptor of the gradient of the weights: of source, weights' gradient and result's
        gradient."""
        source, weights, result = (_raw(one) for one in layouts)
        told = [source, weights, None, result]
        return self._describe("backward_weights", (DIRECT,), told, geometry, attributes, forward)

    def _describe(
        self,
        name: str,
        kinds: tuple[int, ...],
        layouts: list,
        geometry: tuple,
        attributes: Owned,
        forward: Owned | None,
    ) -> Owned:
        """``geometry``: stride, dilation (0: none) and padding before and after."""
        short, handle = self._short, c_void_p()
        numbers = [dimensions(pair) for pair in geometry]
        hint = None if forward is None else forward.handle
        if self.major == 2:
            operation = ctypes.create_string_buffer(OPERATION_DESCRIPTOR_SIZE)
            init = getattr(short, f"dnnl_dilated_convolution_{name}_desc_init")
            check(init(operation, *kinds, *layouts, *numbers), name)
            create = short.dnnl_primitive_desc_create
            status = create(byref(handle), operation, attributes.handle, self.engine, hint)
        else:
            create = getattr(short, f"dnnl_convolution_{name}_primitive_desc_create")
            given = (hint,) if forward is not None else ()
            status = create(
                byref(handle), self.engine, *kinds, *layouts, *numbers, *given, attributes.handle
            )
        check(status, name)
        return Owned(short.dnnl_primitive_desc_destroy, handle)

    def describe_reorder(self, one: c_void_p | int, other: c_void_p | int, attributes: Owned) -> Owned:
        """The descriptor of a copy from one layout to another."""
        handle = c_void_p()
        create = self._short.dnnl_reorder_primitive_desc_create
        told = c_void_p(_address(one)), self.engine, c_void_p(_address(other)), self.engine
        check(create(byref(handle), *told, attributes.handle), "reorder")
        return Owned(self._short.dnnl_primitive_desc_destroy, handle)

    def layout_of(self, descriptor: Owned, name: str) -> int:
        """A layout that a descriptor owns (an address), 0 where it has none."""
        query = self._short.dnnl_primitive_desc_query_md
        return query(descriptor.handle, LAYOUT_QUERIES[name], 0) or 0

    def implementation(self, descriptor: Owned) -> str:
        """The name of the kernel, such as ``jit:avx512_common``."""
        told = c_char_p()
        query = self._short.dnnl_primitive_desc_query
        check(query(descriptor.handle, IMPLEMENTATION_QUERY, 0, byref(told)), "implementation")
        return (told.value or b"").decode()

    def primitive(self, descriptor: Owned) -> Owned:
        """What can be executed, by several threads at once."""
        handle = c_void_p()
        check(self._long.dnnl_primitive_create(byref(handle), descriptor.handle), "primitive")
        return Owned(self._short.dnnl_primitive_destroy, handle, (descriptor,))

    def memory(self, layout: int) -> Owned:
        """A place for an array, which ``point`` tells."""
        handle = c_void_p()
        check(self._short.dnnl_memory_create(byref(handle), layout, self.engine, None), "memory")
        return Owned(self._short.dnnl_memory_destroy, handle)

    def point(self, memory: Owned, address: int) -> None:
        """Tell a memory where its array lies."""
        check(self._short.dnnl_memory_set_data_handle(memory.handle, address), "memory")

    def execute(self, primitive: Owned, arguments: ctypes.Array) -> None:
        """Run a primitive in this thread, to its end."""
        run = self._long.dnnl_primitive_execute
        check(run(primitive.handle, self._stream, len(arguments), arguments), "execute")
        check(self._short.dnnl_stream_wait(self._stream), "wait")


def version_of(library: ctypes.PyDLL) -> tuple[int, int, int, int]:
    """Major, minor, patch, and the runtime of its threads."""
    library.dnnl_version.restype = POINTER(_Version)
    told = library.dnnl_version().contents
    return told.major, told.minor, told.patch, told.cpu_runtime


def check(status: int, what: str) -> None:
    """Raise where a call did not succeed."""
    if status:
        raise OneDnnError(f"oneDNN: {what}: status {status}")


def _nothing(handle: c_void_p) -> None:
    pass


def _raw(layout: Owned | None) -> c_void_p | None:
    return None if layout is None else layout.handle


def _address(layout: c_void_p | int) -> int | None:
    return layout.value if isinstance(layout, c_void_p) else layout
