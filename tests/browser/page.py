"""Uses the status page in a browser, as people do.

    page.py URL DIRECTORY

Screenshots go into DIRECTORY. What has to happen in Azure is asked of whoever started this: a line out
(`scale-out`, `hold`, `token`), a line in. Ends with 0 when everything is as it should be, and otherwise
says what is not.
"""

import http.server
import re
import shutil
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page, expect, sync_playwright

URL, DIRECTORY = sys.argv[1], Path(sys.argv[2])
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 800}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FOCUSABLE = "a[href], button, input, summary, [tabindex='0']"


def ask(word: str) -> str:
    """What is only known, or only happens, on the other side."""
    print(word, flush=True)
    return sys.stdin.readline().strip()


@contextmanager
def shown(browser, path="/", **options):
    """A page in a profile of its own, in which nothing may go wrong and nothing else be asked."""
    context = browser.new_context(**options)
    page = context.new_page()
    wrong = []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    context.on("request", lambda request: request.url.startswith(URL + "/") or wrong.append(request.url))
    page.wrong = wrong
    page.goto(URL + path)
    yield page
    assert not wrong, wrong
    context.close()


def accessible(page: Page) -> None:
    """axe-core finds nothing serious."""
    page.evaluate(AXE)
    result = page.evaluate("axe.run()")
    grave = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
    assert not grave, [(v["id"], [n["html"] for n in v["nodes"]]) for v in grave]
    assert result["passes"], "axe looked at nothing"


def fits(page: Page) -> None:
    """Nobody has to scroll sideways."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} px too wide"


def pictures(browser, name: str) -> None:
    """The page on a desktop, in the dark and on a phone: to look at, and checked."""
    for suffix, options in {
        "desktop": {"viewport": DESKTOP},
        "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
        "phone": {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True, "has_touch": True},
        "phone-dark": {"viewport": PHONE, "color_scheme": "dark"},
        "tablet": {"viewport": {"width": 800, "height": 1000}},
    }.items():
        with shown(browser, **options) as page:
            page.screenshot(path=DIRECTORY / f"{name}-{suffix}.png", full_page=True)
            accessible(page)
            fits(page)


def without_a_mouse(browser) -> None:
    """The first stop skips to the content, and Tab comes to every control and shows where it is."""
    with shown(browser, viewport=DESKTOP) as page:
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_class("skip")
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null"), "the skip link skips nothing"

        page.goto(URL)
        count = page.locator(FOCUSABLE).locator("visible=true").count()
        seen = set()
        for _ in range(count + 1):
            page.keyboard.press("Tab")
            stop = page.evaluate(
                """() => {
                    const at = document.activeElement;
                    if (at === document.body) return null;
                    const all = Array.from(document.querySelectorAll("*"));
                    const { outlineStyle, outlineWidth } = getComputedStyle(at);
                    return { place: all.indexOf(at), html: at.outerHTML,
                             marked: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
                }"""
            )
            if stop is None or stop["place"] in seen:
                break
            assert stop["marked"], f"the focus cannot be seen on {stop['html']}"
            seen.add(stop["place"])
        # The skip link is outside of the picture until it has the focus.
        assert len(seen) >= count and count > 5, f"{len(seen)} of {count} controls are reached"


def live(browser) -> None:
    """What happens in Azure is shown without loading the page, and disturbs nobody who works with it."""
    with shown(browser, viewport=PHONE) as page:
        page.evaluate("window.notLoadedAgain = true")
        page.locator("#history details").first.locator("summary").click()
        first = page.locator("#history details").first.get_attribute("id")
        token = page.locator("#poll-token")
        token.press_sequentially("half of a to")
        before = page.evaluate("scrollY")
        assert before > 0
        records = page.locator("#records tbody tr")
        had = records.count()
        name = ask("scale-out")
        expect(page.locator("#records .name", has_text=name)).to_be_visible()
        assert records.count() > had
        assert page.evaluate("window.notLoadedAgain"), "the page was loaded again"
        expect(token).to_be_focused()
        expect(token).to_have_value("half of a to")
        expect(page.locator(f"[id='{first}']")).to_have_attribute("open", "")
        # What came above pushed the rest down; the field stays where it was on the screen.
        box = token.bounding_box()
        assert 0 <= box["y"] <= PHONE["height"], box
        expect(page.locator("#news")).to_have_text(re.compile(r"^Generation \d+, "))
        expect(page.locator("#news")).to_have_attribute("aria-live", "polite")
        expect(page.locator("#lost")).to_have_count(0)


def chosen_stays_chosen(browser) -> None:
    """A box that is ticked stays with its name while polls come in."""
    with shown(browser, viewport=DESKTOP) as page:
        boxes = page.locator("#holds input[name=name]")
        expect(boxes.first).to_be_visible()
        boxes.nth(1).check()
        chosen = boxes.nth(1).get_attribute("value")
        boxes.nth(1).focus()
        at = page.locator("#at").inner_text()
        expect(page.locator("#at")).not_to_have_text(at)
        expect(page.locator("#holds input[name=name]:checked")).to_have_value(chosen)
        expect(page.locator("#holds input[name=name]:checked")).to_be_focused()
        every = page.locator("#every input")
        every.check()
        assert page.locator("#holds input[name=name]:checked").count() == boxes.count() > 1
        every.uncheck()
        assert page.locator("#holds input[name=name]:checked").count() == 0


def decide(page: Page, token: str, button: str) -> str:
    """Sends the form of the held removals with the first name chosen; gives the name."""
    box = page.locator("#holds input[name=name]").first
    box.check()
    name = box.get_attribute("value")
    page.locator("#holds-token").fill(token)
    page.get_by_role("button", name=button).click()
    return name


def words(browser, token: str) -> None:
    """What is written needs the token; then it is done, with and without JavaScript."""
    remove, keep = "Remove the chosen names now", "Keep the chosen names"
    for script in (True, False):
        with shown(browser, viewport=DESKTOP, java_script_enabled=script) as page:
            had = page.locator("#holds tbody tr").count()
            assert had > 1
            decide(page, "", remove)
            assert page.url == URL + "/", "the browser asks for the token"
            name = decide(page, "0" * 64, remove)
            expect(page.get_by_role("alert")).to_contain_text("nothing was done")
            assert page.locator("#holds tbody tr").count() == had
            # That the refusal is a 401 is news to the browser's console as well.
            page.wrong[:] = [text for text in page.wrong if "401" not in text]

            page.goto(URL)
            page.locator("#holds-token").fill(token)
            page.get_by_role("button", name=remove).click()
            expect(page.get_by_role("alert")).to_contain_text("No name was chosen")
            page.wrong[:] = [text for text in page.wrong if "400" not in text]

            page.goto(URL)
            assert name == decide(page, f" {token}\n", remove)
            expect(page.locator("#message")).to_have_text("1 name was removed.\n")
            assert page.locator("#holds tbody tr").count() == had - 1
            page.goto(URL)
            decide(page, token, keep)
            expect(page.locator("#message")).to_contain_text("1 name is kept")
            expect(page.locator("#holds")).to_contain_text("kept by an operator")
            page.locator("#poll-token").fill(token)
            page.get_by_role("button", name="Poll all applications").click()
            expect(page.locator("#message")).to_contain_text("1 application is being polled.")
            if script:
                assert page.url == URL + "/", "loading the page again would tell it again"
            else:
                page.screenshot(path=DIRECTORY / "no-script.png", full_page=True)


def foreign(browser, token: str) -> None:
    """A page of another origin cannot write, even with the token, nor read, nor show the page in a frame."""
    with shown(browser) as page:
        name = page.locator("#holds input[name=name]").first.get_attribute("value")
        had = page.locator("#holds tbody tr").count()
    form = f"""<!doctype html><title>another</title>
        <form method=post action="{URL}/page/holds"><input name=token value="{token}">
        <input name=name value="{name}"><button name=word value=approve>send</button></form>
        <iframe src="{URL}/"></iframe>"""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(form.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        assert page.frames[1].url != URL + "/" or not page.frames[1].locator("#main").count(), "framed"
        read = "url => fetch(url).then(() => 'read', () => 'refused')"
        assert page.evaluate(read, URL + "/api/v1/status") == "refused"
        stream = "url => new Promise(done => { new EventSource(url).onerror = () => done('refused'); })"
        assert page.evaluate(stream, URL + "/api/v1/events") == "refused"
        with page.expect_navigation(url=re.compile("/page/holds$")) as sent:
            page.get_by_role("button", name="send").click()
        assert sent.value.status == 403, sent.value.status
        context.close()
        server.shutdown()
    with shown(browser) as page:
        assert page.locator("#holds tbody tr").count() == had, "a foreign page has removed a name"


def main() -> None:
    # Generous, because tests share the machine.
    expect.set_options(timeout=30000)
    assert CHROMIUM, "chromium is not installed; scripts/test installs what tests need"
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        pictures(browser, "well")
        without_a_mouse(browser)
        live(browser)
        ask("hold")
        chosen_stays_chosen(browser)
        pictures(browser, "held")
        without_a_mouse(browser)
        token = ask("token")
        foreign(browser, token)
        words(browser, token)
        browser.close()


main()
