"""FilterLine: the one line that says which requests are listed; it completes, and shows what is wrong where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.highlighter import Highlighter
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import Click, Key, Resize
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import Input, Static

from ktui.answers import FilterField
from ktui.editor.popup import OfferList
from ktui.filter_offers import FilterOffers, offers_at
from ktui.themes import role
from proxy.base.sanitise import sanitise

_LEAD = " / "
_EXAMPLES = ("model:", "variant:", "status:5xx", "latency>2s", "cost>=0.01", "decision:block")
_LONGEST = 2_000
_MOST_OFFERS = 200
_REMEMBERED = 50


class _Words(Highlighter):
    """`and`, `or`, `not` stand out."""

    def __init__(self, style: Callable[[], str]) -> None:
        self._style = style

    def highlight(self, text: Text) -> None:
        text.highlight_regex(r"(?<!\S)\(*(and|or|not)\b(?![:=<>!])", self._style())


class FilterInput(Input):
    """The field; the line is asked first with each key."""

    def __init__(self, intercept: Callable[[Key], bool], style: Callable[[], str]) -> None:
        super().__init__(
            compact=True, select_on_focus=False, max_length=_LONGEST, highlighter=_Words(style), id="filter"
        )
        self._intercept = intercept
        self.cursor_blink = False

    async def _on_key(self, event: Key) -> None:
        if self._intercept(event):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)


class FilterLine(Vertical):
    """`enter` applies, `esc` closes the offers, then leaves; `tab` takes an offer, up and down go through them.

    Without offers up and down go through the filters used before. What is in force is `shown`: the owner sets
    it with `show`, and says with `fault` what is wrong with a text that is not.
    """

    DEFAULT_CSS = """
    FilterLine { height: auto; width: 1fr; }
    FilterLine Horizontal { height: 1; width: 1fr; }
    FilterLine Static { height: 1; width: auto; background: $kt-base; color: $kt-muted; }
    FilterLine Input, FilterLine Input:focus {
        border: none; height: 1; width: 1fr; padding: 0; background: $kt-base; color: $kt-text;
        background-tint: $kt-base 0%;
    }
    FilterLine #filter-fault { display: none; width: 1fr; }
    """

    class Applied(Message):
        """The reader wants the requests this text asks for; an empty one: all."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Toggled(Message):
        """A click on `\\ off/on`."""

    class Left(Message):
        """The reader wants back to the list."""

    class Entered(Message):
        """The reader is about to type: names and values are wanted."""

    def __init__(self, offers: OfferList, named: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self.offers = offers
        self.field = FilterInput(self._key, lambda: role(self.app, "accent"))
        self.fields: Sequence[FilterField] = ()
        self.known: Mapping[str, Sequence[str]] = {}
        self.history: list[str] = []
        """Filters that were in force or typed and left, oldest first."""
        self._named = named
        self._shown = ""
        self._off = False
        self._found = FilterOffers(0, 0)
        self._chosen = False
        self._place: int | None = None
        self._label = Static(id="filter-label", markup=False)
        self._state = Static(id="filter-state", markup=False)
        self._fault = Static(id="filter-fault", markup=False)

    def compose(self) -> ComposeResult:
        """Label, field, `off/on`; a fault below."""
        with Horizontal():
            yield self._label
            yield self.field
            yield self._state
        yield self._fault

    def on_mount(self) -> None:
        """Colours follow the theme."""
        self._paint()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._paint())

    def on_resize(self, event: Resize) -> None:
        """As many examples as fit, whole ones."""
        room = event.size.width - len(_LEAD) - 12
        words = "type a filter:"
        for example in _EXAMPLES:
            if len(words) + 2 + len(example) <= room:
                words += (" " if words.endswith("filter:") else "  ") + example
        self.field.placeholder = words

    # -- what the owner says

    @property
    def typing(self) -> bool:
        """Whether the cursor is in the line."""
        return self.field.has_focus

    def show(self, text: str, *, off: bool = False) -> None:
        """This filter is in force, or would be if it were not off."""
        self._shown, self._off, self._place = text, off, None
        self._remember(text)
        self._put(text)
        self.fault("")

    def _remember(self, text: str) -> None:
        if text:
            self.history = [*(item for item in self.history if item != text), text][-_REMEMBERED:]

    def fault(self, message: str, column: int = 1) -> None:
        """What is wrong with the text, under its column (from 1); empty: nothing is."""
        self._fault.display = bool(message)
        if message:
            words = Text(f"✗ {sanitise(message, 200)}", style=role(self.app, "bad"), no_wrap=True)
            at = len(_LEAD) + column - 1
            pad = max(min(at, self.size.width - words.cell_len - 1), 1)
            self._fault.update(Text(" " * pad).append_text(words))

    def open(self) -> None:
        """Ready to type."""
        self.field.focus()
        self.field.action_end()

    def on_descendant_focus(self) -> None:
        """Someone is about to type."""
        self.post_message(self.Entered())

    def _paint(self) -> None:
        self._label.update(Text(_LEAD, style=f"bold {role(self.app, 'accent')}"))
        if self._off and self._shown:
            state = Text("  ‖ off ", style=role(self.app, "paused")).append(
                "\\ on  ", role(self.app, "muted")
            )
        else:
            state = Text("  \\ off/on  ", style=role(self.app, "muted"))
        self._state.update(state)
        self.field.styles.color = None

    def _put(self, text: str) -> None:
        with self.field.prevent(Input.Changed):
            self.field.value = text
        self.field.action_end()
        self.close()
        self._paint()

    # -- typing

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offers follow the word; a fault is told again when `enter` finds it."""
        event.stop()
        self.fault("")
        self.complete()

    def complete(self) -> None:
        """Offers for the word at the cursor."""
        cursor = self.field.cursor_position
        found = offers_at(self.field.value, cursor, self.fields, self.known, self._named())
        self._found = FilterOffers(found.start, found.end, found.offers[:_MOST_OFFERS])
        self._chosen = False
        if not found.offers or not self.typing:
            self.offers.display = False
            return
        x = len(_LEAD) + found.start - int(self.field.scroll_offset.x)
        container = self.offers.parent
        size = getattr(container, "size", self.size)
        origin = getattr(container, "region", self.region)
        line = self.field.region.y - origin.y
        self.offers.show(self._found.offers, Offset(max(x, 0), line), size)

    def close(self) -> None:
        """No offers."""
        self.offers.display = False

    def take(self, index: int) -> None:
        """Writes an offer."""
        if not 0 <= index < len(self._found.offers):
            return
        offer, found, text = self._found.offers[index], self._found, self.field.value
        start, end = (0, len(text)) if offer.insert in self._named().values() else (found.start, found.end)
        self.field.value = text[:start] + offer.insert + text[end:]
        self.field.cursor_position = start + len(offer.insert)
        self.call_after_refresh(self.complete)

    def _key(self, event: Key) -> bool:
        key, open_ = event.key, bool(self.offers.display)
        if open_ and key in ("down", "up"):
            # The first offer stands ready; `enter` takes one only after the reader went to it.
            if self._chosen or key == "up":
                self.offers.step(1 if key == "down" else -1)
            self._chosen = True
        elif open_ and (key == "tab" or (key == "enter" and self._chosen)):
            self.take(self.offers.cursor)
        elif key == "tab" and self.field.value:
            self.complete()
        elif key == "enter":
            self.close()
            self.post_message(self.Applied(self.field.value.strip()))
        elif key == "escape":
            self._escape(open_)
        elif key in ("up", "down"):
            self._step(-1 if key == "up" else 1)
        else:
            return False
        return True

    def _escape(self, open_: bool) -> None:
        if open_:
            self.close()
            return
        self._remember(self.field.value.strip())
        self._put(self._shown)
        self.fault("")
        self.post_message(self.Left())

    def _step(self, by: int) -> None:
        """Through the filters used before; after the newest comes what is in force."""
        place = (len(self.history) if self._place is None else self._place) + by
        if 0 <= place < len(self.history):
            self._place = place
            self._put(self.history[place])
        elif by > 0:
            self._place = None
            self._put(self._shown)

    def on_click(self, event: Click) -> None:
        """A click on `off/on` toggles; one into the line types."""
        if event.widget is self._state:
            event.stop()
            self.post_message(self.Toggled())
        elif event.widget in (self._label, self.field):
            self.open()

    def on_descendant_blur(self) -> None:
        """Offers belong to the cursor."""
        self.close()
