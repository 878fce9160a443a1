"""What the author of a native plugin needs: `Pipeline`, and the few types beside it.

A plugin is a class derived from `Pipeline`, named by an entry point of the group
`workdeed.plugins`. This package imports nothing but the standard library, and so does what hosts
a plugin: the rest of its process is the plugin's own.
"""

from workdeed.node.native.pipeline import Config, Context, Json, Pipeline, Refusal

__all__ = ["Config", "Context", "Json", "Pipeline", "Refusal"]
