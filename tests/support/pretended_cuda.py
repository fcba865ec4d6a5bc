"""A CUDA that needs no GPU: tensors that say they are on cuda:0, carry their values on the CPU, and are checked and
counted as CUDA would.

    with pretended_cuda() as gpu:
        precompute(settings, Silent())  # --device cuda
    print(gpu.counts)

Operations check devices as CUDA's kernels do (`DeviceMismatchError`). Counted are `kernel`s, host synchronisations
(`sync …`), copies (`copy …`) and their bytes. What is copied on a stream of its own must stay as it is until the
program can know that the copy has ended (`OverwrittenError`). With `memory` an operation whose results are larger fails
as CUDA does where memory is full. Gradients are walked by `python_autograd`: PyTorch's own engine asks the driver for
streams.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.support.pretended_streams import Event, PretendedStream
from tests.support.python_autograd import backward, grad

CUDA = torch.device("cuda:0")
NAME = "Pretended GPU"

_aten = torch.ops.aten


def _names(text: str) -> set[str]:
    return set(text.split())


_NO_KERNEL = _names(
    "view permute slice expand select unsqueeze t detach alias as_strided unbind split split_with_sizes "
    "transpose squeeze _unsafe_view _reshape_alias lift_fresh chunk diagonal unfold empty empty_like new_empty "
    "empty_strided new_empty_strided resize_ sym_size is_same_size _has_compatible_shallow_copy_type set_ "
    "view_as_real requires_grad_"
)
_WAITING = _names(
    "_local_scalar_dense nonzero masked_select unique_consecutive _unique2 equal is_nonzero item unique_dim "
    "repeat_interleave bincount"
)
_BETWEEN_DEVICES = {"_to_copy", "copy_", "_pin_memory", "is_pinned"}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
_NEW_LIKE = _names("_to_copy new_empty zeros_like ones_like empty_like full_like new_full new_zeros rand_like new_ones")


class DeviceMismatchError(RuntimeError):
    """An operation was given tensors on several devices, which CUDA refuses."""


def out_of_memory() -> Exception:
    """Return the error, to be raised, that PyTorch raises where a GPU's memory is full."""
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class CudaTensor(torch.Tensor):
    """A tensor that says it is on cuda:0; its values are in `values`, a tensor of the CPU."""

    values: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> "CudaTensor":
        wrapper = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device=CUDA,
            requires_grad=False,
        )
        wrapper.values = values
        return wrapper

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return _running().run(func, args, kwargs or {})

    def tolist(self) -> Any:
        _running().wait("tolist")
        return self.values.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def untyped_storage(self) -> Any:
        return self.values.untyped_storage()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"CudaTensor({self.values!r})"


class PretendedGpu:
    """A record of a run on the pretended CUDA: `counts` of kernels, waits and copies by kind; `log` of their names."""

    def __init__(self, memory: int | None, full: Callable[[], Exception], function: str | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self.failures = 0
        self.memory = memory
        self._full, self._function = full, function
        self._pinned: set[int] = set()  # addresses of storages
        self.registered: dict[int, int] = {}  # bytes by address
        self.registering = True  # whether the system lets memory be registered
        self.streams = [PretendedStream(self.counts)]  # the current one comes last

    @property
    def waits(self) -> int:
        """Return how often the host waited for the device, copies from pageable memory included."""
        return sum(count for kind, count in self.counts.items() if kind.startswith("sync "))

    def wait(self, what: str) -> None:
        """Count, as `sync WHAT`, that the host waits for the device; what was copied until now has then arrived."""
        self.counts[f"sync {what}"] += 1
        self.streams[0].passes()

    def pin(self, tensor: torch.Tensor) -> None:
        """Note that a tensor's memory is page-locked."""
        self._pinned.add(tensor.untyped_storage().data_ptr())

    def register(self, address: int, size: int, flags: int) -> int:
        """Note that memory is page-locked; return an error number as cudaHostRegister does, 0, or 304 if refused."""
        if self.registering:
            self.registered[address] = size
        return 0 if self.registering else 304

    def unregister(self, address: int) -> int:
        """Unlock memory, as cudaHostUnregister does."""
        del self.registered[address]
        return 0

    def _is_pinned(self, tensor: torch.Tensor) -> bool:
        address = tensor.untyped_storage().data_ptr()
        inside = any(first <= address < first + size for first, size in self.registered.items())
        return address in self._pinned or inside

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an ATen function on the values, after the checks that CUDA makes."""
        name = func._schema.name.split("::")[1]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_gpu = [tensor for tensor in tensors if isinstance(tensor, CudaTensor)]
        target = kwargs.get("device")
        to_gpu = target is not None and torch.device(target).type == "cuda"
        to_cpu = target is not None and not to_gpu
        if name in ("_pin_memory", "is_pinned"):
            return self._pinning(name, args[0])
        if on_gpu:
            _check_devices(func, name, args, tensors)
        if on_gpu or to_gpu:
            self._count(name, args, kwargs, to_gpu=to_gpu, to_cpu=to_cpu)
        result = _on_values(func, name, args, kwargs, to_gpu=to_gpu)
        stays = bool(on_gpu) and not (to_cpu and name in _NEW_LIKE)
        if not (stays or to_gpu):
            return result
        if self.memory is not None and name not in _NO_KERNEL and self._function in (None, name):
            size = sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(result) if torch.is_tensor(leaf))
            if size > self.memory:
                self.failures += 1
                raise self._full()
        return _wrapped(result, {id(tensor.values): tensor for tensor in on_gpu})

    def _pinning(self, name: str, tensor: torch.Tensor) -> Any:
        if name == "is_pinned":
            return not isinstance(tensor, CudaTensor) and self._is_pinned(tensor)
        if isinstance(tensor, CudaTensor):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        pinned = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
        pinned.copy_(tensor)
        self.pin(pinned)
        self.counts["pin"] += 1
        return pinned

    def _count(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, to_gpu: bool, to_cpu: bool) -> None:
        indices = (
            [leaf for leaf in tree_leaves(args[1:2]) if isinstance(leaf, torch.Tensor)] if name in _INDEXING else []
        )
        if name == "_to_copy" and to_gpu and not isinstance(args[0], CudaTensor):
            self._count_upload(args[0], bool(kwargs.get("non_blocking")))
        elif name == "_to_copy" and to_cpu:
            self.wait("copy to the CPU")
        elif name == "copy_" and isinstance(args[0], CudaTensor) != isinstance(args[1], CudaTensor):
            if isinstance(args[0], CudaTensor):
                self._count_upload(args[1], (len(args) > 2 and bool(args[2])) or bool(kwargs.get("non_blocking")))
            else:
                self.wait("copy to the CPU")
        elif name in _WAITING:
            self.wait(name)
        elif any(not isinstance(index, CudaTensor) for index in indices):
            self.wait("upload of indices")
        elif any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            self.wait("boolean index")
        if name not in _NO_KERNEL:
            self.counts["kernel"] += 1
            self.log.append(name)

    def _count_upload(self, source: torch.Tensor, non_blocking: bool) -> None:
        pinned = self._is_pinned(source)
        dense = source.is_contiguous() or (
            source.dim() == 4 and source.is_contiguous(memory_format=torch.channels_last)
        )
        asynchronous = non_blocking and pinned and dense
        self.counts["copy to the GPU" if asynchronous else "sync copy to the GPU"] += 1
        if asynchronous and len(self.streams) > 1:
            self.streams[-1].copying.append((source, source.clone()))
        self.counts["bytes to the GPU"] += source.numel() * source.element_size()


def _check_devices(func: Any, name: str, args: tuple[Any, ...], tensors: Sequence[torch.Tensor]) -> None:
    """Raise DeviceMismatchError where CUDA would not take the tensors together."""
    if name in _BETWEEN_DEVICES:
        return
    if name in _INDEXING:
        if not isinstance(args[0], CudaTensor):
            raise DeviceMismatchError(f"{func}: indices on cuda, the indexed tensor on cpu")
        tensors = [leaf for leaf in tree_leaves(args[2:]) if isinstance(leaf, torch.Tensor)]
    if any(tensor.dim() > 0 for tensor in tensors if not isinstance(tensor, CudaTensor)):
        where = [(tuple(tensor.shape), "cuda" if isinstance(tensor, CudaTensor) else "cpu") for tensor in tensors]
        raise DeviceMismatchError(f"{func}: expected all tensors on one device, not {where}")


def _on_values(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, to_gpu: bool) -> Any:
    """Return the result of an ATen function for the tensors' values, computed on the CPU."""
    args, kwargs = tree_map(_values, args), tree_map(_values, kwargs)
    if to_gpu:
        kwargs["device"] = torch.device("cpu")
    if kwargs.get("pin_memory"):
        kwargs["pin_memory"] = False
    if name == "cudnn_batch_norm":
        reserve = torch.empty(0, dtype=torch.uint8)
        return (*_aten.native_batch_norm.default(*args[:8]), reserve)
    if name == "cudnn_batch_norm_backward":
        inputs, gradient, weight, mean, variance, saved_mean, saved_inverse, epsilon, *_ = args
        statistics = (mean, variance, saved_mean, saved_inverse)
        return _aten.native_batch_norm_backward.default(
            gradient, inputs, weight, *statistics, True, epsilon, [True, True, True]
        )
    result = func(*args, **kwargs)
    copied = name == "_to_copy" and isinstance(result, torch.Tensor) and result.numel() > 0
    return result.clone() if copied and result.data_ptr() == args[0].data_ptr() else result


def _values(leaf: Any) -> Any:
    return leaf.values if isinstance(leaf, CudaTensor) else leaf


def _wrapped(result: Any, known: dict[int, CudaTensor]) -> Any:
    """Return a function's results as tensors on the GPU; a tensor that it was given and returns is the same object."""

    def wrap(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or isinstance(leaf, CudaTensor):
            return leaf
        if id(leaf) in known:
            return known[id(leaf)]
        with torch.inference_mode(leaf.is_inference()):  # a view of a usual tensor is one
            return CudaTensor(leaf)

    return tree_map(wrap, result)


class _PretendingMode(TorchDispatchMode):
    """Sees the functions that make tensors, and those on tensors of the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return _running().run(func, args, kwargs or {})


@contextmanager
def _on_stream(stream: PretendedStream | None) -> Iterator[None]:
    """Give the work of the block to a stream."""
    streams = _running().streams
    streams.append(stream or streams[0])
    try:
        yield
    finally:
        streams.pop()


class _GeneratorType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _CpuGenerator)


class _Generator(metaclass=_GeneratorType):
    """`torch.Generator`, where one of CUDA is one of the CPU."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return _CpuGenerator("cpu")


_CpuGenerator = torch.Generator
_current: list[PretendedGpu] = []


def _running() -> PretendedGpu:
    return _current[-1]


def _synchronize(device: Any = None) -> None:
    _running().wait("synchronize")


def _patches(gpu: PretendedGpu, capacity: int) -> dict[str, Any]:
    """Return the stand-ins for functions of `torch`, by the names of those."""
    properties = SimpleNamespace(name=NAME, total_memory=capacity, major=9, minor=0, multi_processor_count=132)
    return {
        "cuda._lazy_init": lambda: None,
        "cuda.is_available": lambda: True,
        "cuda.device_count": lambda: 1,
        "cuda.current_device": lambda: 0,
        "cuda.is_bf16_supported": lambda *_, **__: True,
        "cuda.synchronize": _synchronize,
        "cuda.get_device_name": lambda device=None: NAME,
        "cuda.get_device_properties": lambda device=None: properties,
        "cuda.get_device_capability": lambda device=None: (9, 0),
        "cuda.mem_get_info": lambda device=None: (capacity, capacity),
        "cuda.empty_cache": lambda: None,
        "cuda.get_rng_state": lambda device=None: None,
        "cuda.set_rng_state": lambda state, device=None: None,
        "cuda.Event": partial(Event, gpu.counts),
        "cuda.Stream": partial(PretendedStream, gpu.counts),
        "cuda.stream": _on_stream,
        "cuda.current_stream": lambda device=None: gpu.streams[-1],
        "cuda.cudart": lambda: SimpleNamespace(cudaHostRegister=gpu.register, cudaHostUnregister=gpu.unregister),
        "amp.autocast_mode.is_autocast_available": lambda kind: True,
        "Generator": _Generator,
        "autograd.grad": grad,
        "Tensor.backward": backward,
    }


@contextmanager
def pretended_cuda(
    *,
    memory: int | None = None,
    function: str | None = None,
    full: Callable[[], Exception] = out_of_memory,
    capacity: int = 80 << 30,
) -> Iterator[PretendedGpu]:
    """Pretend that there is one GPU while the block runs.

    An operation (an ATen `function`, where one is named) whose results take more than `memory` bytes raises what `full`
    returns; `capacity` is what the GPU says it has.
    """
    gpu = PretendedGpu(memory, full, function)
    torch._C._ensureCUDADeviceGuardSet()  # as FakeTensorMode does: device guards that do nothing
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        for name, replacement in _patches(gpu, capacity).items():
            stack.enter_context(mock.patch(f"torch.{name}", replacement))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, False)
        _current.append(gpu)
        stack.callback(_current.pop)
        stack.enter_context(_PretendingMode())
        yield gpu
