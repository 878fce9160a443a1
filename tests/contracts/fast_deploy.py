"""Keep titanoboa's source maps of constructors from one deployment to the next.

titanoboa assembles a constructor anew for each deployment only to map an error to its source line:
0.3 s for each of five contracts, against milliseconds for the deployment itself.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from boa.contracts.vyper.vyper_contract import VyperContract
from vyper.compiler import CompilerData
from vyper.compiler.settings import anchor_settings
from vyper.ir import compile_ir


@cache
def _source_map(compiler_data: CompilerData) -> Any:
    with anchor_settings(compiler_data.settings):
        return compile_ir.assembly_to_evm(compiler_data.assembly)[1]


def install() -> None:
    """Let every deployment of this process share the source map of its constructor."""
    VyperContract._deployment_source_map = property(lambda self: _source_map(self.compiler_data))
