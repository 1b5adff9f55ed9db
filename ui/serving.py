"""Gradio's server: the page's look, how it is served, and what a wrong call of it gets.

What Gradio offers no way to set is subclassed or put in its place here, and nowhere else.
"""

import os
import secrets

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import, which would report home

from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from assistant.core.resources import no_proxy

with no_proxy("localhost", all_of_them=True):  # it makes a client ready, which needs none
    import gradio as gr  # for the other modules, too
from assistant.ui.answering import unreadable
from assistant.ui.room import Room
from gradio import route_utils
from starlette.requests import Request
from starlette.responses import JSONResponse

FONTS = ("system-ui", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
THREADS = 120  # a waiting question holds one
DOOR = "answer"  # what programs call
STYLES = ("style.css", "search.css", "scenes.css", "teach.css")
SCRIPTS = ("page.js", "search.js", "scenes.js", "teach.js")
MISCALLED = (route_utils.FnIndexInferError, KeyError, TypeError)  # as Gradio says it


class Page(gr.Blocks):
    """Whoever calls it wrongly gets one line; Gradio would log a traceback and tell paths."""

    lent: Callable[[], list[str]] = list  # files that may be fetched just now, beside its folder
    _allowed: Sequence[str] = ()

    @property
    def allowed_paths(self) -> list[str]:  # type: ignore[override]
        return [*self._allowed, *self.lent()]

    @allowed_paths.setter
    def allowed_paths(self, paths: list[str]) -> None:
        self._allowed = paths

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *state: Any, **options: Any
    ) -> list[Any]:
        if block_fn.api_name == DOOR:  # it looks at everything itself; its last two have defaults
            return [*inputs[:4], None, None][: max(2, min(len(inputs), 4))]
        wrong = unreadable(inputs, len(block_fn.inputs))
        try:
            if not wrong:
                return await super().preprocess_data(block_fn, inputs, *state, **options)
        except Exception as error:  # Gradio raises many kinds
            wrong = f"what was sent is not what the page sends ({type(error).__name__})"
        raise gr.Error(wrong, print_exception=False)


def _refuse(request: Request, error: Exception) -> JSONResponse:
    """A call of what is not there, or by name without an argument that it needs."""
    if "/gradio_api/" not in request.url.path:
        raise error
    needs = (
        str(error).split(". ")[0]
        if isinstance(error, TypeError)
        else "there is nothing of that name to call"
    )
    return JSONResponse({"error": f"{needs}; docs/ui.md shows a call"}, 400)


class Upload(route_utils.GradioUploadFile):
    """A file that arrives; the same from two people lies in two places, so each takes their own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sha.update(secrets.token_bytes(16))  # names its folder


def launch(
    page: Page,
    room: Room,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    mcp: bool = False,
    open_browser: bool = False,
) -> str:
    """Serve the page, on threads of its own until ``page.close()``; its address."""
    route_utils.GradioUploadFile = Upload  # type: ignore[misc]
    page.lent = room.visitors.lent
    with no_proxy(host, all_of_them=not share):
        _, address, shared = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            inbrowser=open_browser,
            auth=auth,
            mcp_server=mcp,
            max_threads=THREADS,
            max_file_size=room.options.limits.bytes,
            allowed_paths=[str(room.visitors.root)],
            theme=_theme(),
            css="".join(map(text_of, STYLES)),
            head=f"<script>{''.join(map(text_of, SCRIPTS))}</script>",
            footer_links=["api"],
            ssr_mode=False,
            app_kwargs={"exception_handlers": dict.fromkeys(MISCALLED, _refuse)},
            quiet=True,
            show_error=True,
            prevent_thread_lock=True,
        )
    room.visitors.on_gone = partial(_forget, page.state_holder)
    return shared or address


def _forget(kept: Any, session: str) -> None:
    """Gradio would keep what a page has shown for as long as the server runs."""
    with kept.lock:
        kept.session_data.pop(session, None)
        kept.time_last_used.pop(session, None)


def text_of(name: str) -> str:
    """A file of the page."""
    return (files("assistant.ui") / name).read_text(encoding="utf-8")


def _theme() -> gr.themes.Base:
    """Local fonts only: nothing is fetched from outside."""
    theme = gr.themes.Soft(
        primary_hue="emerald", neutral_hue="slate", font=FONTS, font_mono=MONO, radius_size="lg"
    )
    plain = {
        "body_background_fill": "*neutral_50",
        "body_background_fill_dark": "*neutral_950",
        "body_text_color_subdued": "*neutral_500",  # 4.6 to 1 and more against what is behind it
        "button_primary_background_fill": "*primary_700",
        "button_primary_background_fill_dark": "*primary_700",
        "button_primary_background_fill_hover": "*primary_800",
        "button_primary_background_fill_hover_dark": "*primary_800",
        "button_secondary_background_fill_hover_dark": "*primary_700",
        "checkbox_label_background_fill_selected": "*primary_700",
        "checkbox_label_background_fill_selected_dark": "*primary_700",
        "checkbox_border_color": "*neutral_400",
        "checkbox_border_color_dark": "*neutral_400",
        "input_border_color": "*neutral_300",
        "input_placeholder_color": "*neutral_500",
        "input_placeholder_color_dark": "*neutral_400",
    }
    for mode in ("", "_dark"):  # labels as quiet text
        plain[f"block_title_background_fill{mode}"] = "none"
        plain[f"block_title_text_color{mode}"] = "*body_text_color_subdued"
        plain[f"block_label_background_fill{mode}"] = "none"
        plain[f"block_label_text_color{mode}"] = "*body_text_color_subdued"
    return theme.set(
        block_title_padding="0",
        block_title_text_weight="400",
        block_label_text_weight="400",
        **plain,
    )
