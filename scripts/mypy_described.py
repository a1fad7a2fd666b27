"""A plugin of mypy: an object that keeps the arguments of its constructors has no other attributes.

Other type checkers see the `__getattr__` of `cornu.core.described.Keeping`, which allows any name.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import FuncDef, TypeInfo
from mypy.plugin import AttributeContext, Plugin
from mypy.types import Instance, Type

KEEPING = "cornu.core.described.Keeping"


class DescribedPlugin(Plugin):
    """Looks at attributes that only `Keeping.__getattr__` has."""

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        owner, _, name = fullname.rpartition(".")
        if owner != KEEPING:
            return None
        return lambda context: _checked(name, context)


def _checked(name: str, context: AttributeContext) -> Type:
    if isinstance(context.type, Instance):
        kind = context.type.type
        if not any(_has(one, name) for one in [kind, *_specialized(kind, context)]):
            context.api.fail(f'"{kind.name}" has no attribute "{name}"', context.context)
    return context.default_attr_type


def _has(kind: TypeInfo, name: str) -> bool:
    """Whether a class, or one above it, has an attribute or takes it as an argument."""
    constructors = (base.names["__init__"].node for base in kind.mro if "__init__" in base.names)
    taken = any(isinstance(node, FuncDef) and name in node.arg_names for node in constructors)
    return taken or kind.has_readable_member(name)


def _specialized(kind: TypeInfo, context: AttributeContext) -> list[TypeInfo]:
    """The classes below one that stand in its module: it may count on what they all take."""
    module = context.api.modules[kind.module_name]  # type: ignore[attr-defined]
    nodes = [symbol.node for symbol in module.names.values()]
    return [node for node in nodes if isinstance(node, TypeInfo) and kind in node.mro[1:]]


def plugin(version: str) -> type[Plugin]:
    """What mypy asks a plugin for."""
    return DescribedPlugin
