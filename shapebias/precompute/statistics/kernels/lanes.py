# mypy: disable-error-code="untyped-decorator, no-untyped-call"
"""A numba type for 16 numbers of neighbouring units in vector registers, with the operations that kernels need.

LLVM keeps arrays of running sums in memory, and does not vectorise loops over many arrays. It maps a vector to the
processor's registers (two of AVX, four of SSE or NEON), and running sums stay there. The first argument of every
intrinsic, `_`, is given by numba: kernels call intrinsics without it.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.extending import models, overload, register_model

LANES = 16  # one cache line of float32
intrinsic: Any = extending.intrinsic  # untyped: what it returns takes an argument less than the decorated function


class LanesType(types.Type):
    """numba's type of 16 numbers, a vector in LLVM."""

    def __init__(self, scalar: types.Type, kind: ir.Type) -> None:
        super().__init__(f"Lanes({scalar})")
        self.vector = ir.VectorType(kind, LANES)


FLOATS = LanesType(types.float32, ir.FloatType())
COUNTS = LanesType(types.int32, ir.IntType(32))
_OF_ARRAY = {types.float32: FLOATS, types.int32: COUNTS}


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: LanesType) -> None:
        super().__init__(manager, lanes, lanes.vector)


def _pointer(context: Any, builder: Any, row_type: Any, arguments: Any, target: ir.Type) -> Any:
    """Return a pointer to an element of a row (an array of one dimension), which points to the type `target`.

    The first two `arguments` are the row and the index of the element.
    """
    array = context.make_array(row_type)(context, builder, arguments[0])
    element = cgutils.get_item_pointer(context, builder, row_type, array, [arguments[1]], wraparound=False)
    return builder.bitcast(element, target.as_pointer())


@intrinsic
def load(_: Any, row: Any, first: Any) -> Any:
    """Return row[first : first + 16] of a row float32 or int32."""
    lanes = _OF_ARRAY[row.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], arguments, lanes.vector)
        return builder.load(pointer, align=4)

    return lanes(row, types.intp), generate


@intrinsic
def store(_: Any, row: Any, first: Any, values: Any) -> Any:
    """Set row[first : first + 16] to 16 values of the row's type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], arguments, values.vector)
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(row, types.intp, values), generate


@intrinsic
def accumulate(_: Any, row: Any, first: Any, values: Any) -> Any:
    """Add 16 float32 values to row[first : first + 16] of a row float64."""
    wide = ir.VectorType(ir.DoubleType(), LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], arguments, wide)
        total = builder.fadd(builder.load(pointer, align=8), builder.fpext(arguments[2], wide))
        builder.store(total, pointer, align=8)
        return context.get_dummy_value()

    return types.void(row, types.intp, values), generate


@intrinsic
def prefetch(_: Any, row: Any, first: Any) -> Any:
    """Load the cache line of row[first] ahead of use."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [byte, number, number, number])

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        pointer = _pointer(context, builder, signature.args[0], arguments, ir.IntType(8))
        # Arguments of the prefetch: 0 for reading, 3 into all caches, 1 for data.
        builder.call(function, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(row, types.intp), generate


@intrinsic
def zeros(_: Any) -> Any:
    """Return 16 zeros, float32."""
    return FLOATS(), lambda *_: ir.Constant(FLOATS.vector, [0.0] * LANES)


def _elementwise(instruction: str) -> Callable[..., Any]:
    @intrinsic
    def apply(_: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return one(one, other), generate

    def choose(one, other):  # type: ignore[no-untyped-def]  # numba wants its signature and the lambda's to be equal
        if one == other == FLOATS:
            return lambda one, other: apply(one, other)
        return None

    return choose


for _function, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    overload(_function)(_elementwise(_instruction))


@intrinsic
def distance(_: Any, one: Any, other: Any) -> Any:
    """Return |one - other|, float32."""
    function_type = ir.FunctionType(FLOATS.vector, [FLOATS.vector])

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fabs.v{LANES}f32")
        return builder.call(function, [builder.fsub(*arguments)])

    return FLOATS(one, other), generate


@intrinsic
def larger(_: Any, one: Any, other: Any) -> Any:
    """Return `one` where it is larger than `other`, else `other`, also where one of them is NaN: float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return FLOATS(one, other), generate


@intrinsic
def count_nonpositive(_: Any, count: Any, values: Any) -> Any:
    """Return the int32 counts, increased by one where a float32 value is at most 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        low = builder.fcmp_ordered("<=", arguments[1], ir.Constant(FLOATS.vector, [0.0] * LANES))
        return builder.sub(arguments[0], builder.sext(low, COUNTS.vector))

    return COUNTS(count, values), generate


@intrinsic
def where_above(_: Any, values: Any, limits: Any) -> Any:
    """Return a number whose lowest 16 bits say, from the lowest on, which values are above their limits."""
    bits = ir.IntType(LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        above = builder.fcmp_ordered(">", *arguments)
        return builder.zext(builder.bitcast(above, bits), ir.IntType(64))

    return types.uint64(values, limits), generate


@intrinsic
def lowest_bit(_: Any, bits: Any) -> Any:
    """Return the position of the lowest 1 of a number that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
