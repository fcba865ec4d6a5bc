"""Errors of a store that a key or a message runs into are told on the screen, and the explorer goes on."""

from textual.message import Message
from textual.message_pump import MessagePump

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable


class TellsErrors(MessagePump):
    """A screen or an app, one of the base classes before Textual's own, whose handlers may raise ShapebiasError.

    Textual would end the app; here the error is shown as a notification.
    """

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except ShapebiasError as error:
            self.app.notify(printable(str(error)), severity="error", markup=False)
