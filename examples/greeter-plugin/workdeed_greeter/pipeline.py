"""The plugin `greeter`: says hello to whom it is told to, and to nobody in particular at times.

Configuration: `greeting`, what it says; `every_ms`, time between two greetings to nobody in
particular, 60 s without it.
"""

import asyncio

from workdeed.node.native import Config, Context, Json, Pipeline, Refusal

_EVERY_MS = 60_000
_COUNT = "count"


class Greeter(Pipeline):
    """One instance: one greeting, and how often it was said."""

    def __init__(self, context: Context) -> None:
        """Begin with nothing said."""
        super().__init__(context)
        self._greeting = ""
        self._every = 0.0
        self._said = 0

    async def start(self, config: Config) -> None:
        """Take the configuration, and the count of an earlier life."""
        self._take(config)
        kept = self.context.directory / _COUNT
        self._said = int(kept.read_text()) if kept.exists() else 0

    async def run(self) -> None:
        """Greet nobody in particular from time to time."""
        while True:
            await asyncio.sleep(self._every)
            self._greet("everybody")

    async def configure(self, config: Config) -> None:
        """Take another greeting or pace; it counts from the next greeting on."""
        self._take(config)

    async def command(self, name: str, arguments: Config) -> Json:
        """Do `greet` (argument `name`) or `count`."""
        match name:
            case "greet":
                whom = arguments.get("name", "stranger")
                if not isinstance(whom, str):
                    raise Refusal("name: it is no text; write one")
                return {"text": self._greet(whom)}
            case "count":
                return {"said": self._said}
        return await super().command(name, arguments)

    async def health(self) -> str:
        """Return "": a greeter that runs is well."""
        return ""

    async def stop(self) -> None:
        """Keep the count for the next life."""
        partial = self.context.directory / "count.partial"
        partial.write_text(str(self._said))
        # Killed in between, as anything may be, it would find half a number in its next life.
        partial.replace(self.context.directory / _COUNT)

    def _take(self, config: Config) -> None:
        greeting, every = config.get("greeting", "Hello"), config.get("every_ms", _EVERY_MS)
        # All is checked before anything is taken, so that a refusal changes nothing.
        if not isinstance(greeting, str) or not greeting:
            raise Refusal("greeting: it is no text; write one")
        if not isinstance(every, int) or every < 1:
            raise Refusal("every_ms: it is no number from 1 on; write milliseconds")
        self._greeting, self._every = greeting, every / 1000

    def _greet(self, whom: str) -> str:
        self._said += 1
        text = f"{self._greeting}, {whom}!"
        self.context.log.info("%s", text)
        return text
