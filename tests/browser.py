"""A headless Chromium, driven over a pipe (the DevTools protocol), for the pages that people open."""

import json
import os
import shutil
import subprocess


def find(install=True):
    """The path of a Chromium, installed with apt where there is none and that works; or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found and install and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": 300}
        for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            try:
                subprocess.run(["apt-get", "-qq", *words], check=False, **quiet)
            except subprocess.TimeoutExpired:
                return None
        return find(install=False)
    return found


class Browser:
    """with Browser(path, width, height) as page: page.open(url); page.run("1 + 1")."""

    def __init__(self, path, width=1200, height=900):
        ours, theirs = os.pipe(), os.pipe()  # the browser reads from 3 and writes to 4
        self.out, self.back = ours[1], os.fdopen(theirs[0], "rb")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        flags += ["--no-first-run", f"--window-size={width},{height}", "about:blank"]

        def place():
            os.dup2(ours[0], 30), os.dup2(theirs[1], 31)
            os.dup2(30, 3), os.dup2(31, 4)

        self.process = subprocess.Popen(
            [path, *flags],
            preexec_fn=place,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0]), os.close(theirs[1])
        self.count, self.events, self.session = 0, [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.back.close(), os.close(self.out)

    def _read(self):
        content = bytearray()
        while (byte := self.back.read(1)) != b"\0":
            if not byte:
                raise ConnectionError("the browser has gone")
            content += byte
        return json.loads(content)

    def ask(self, method, **params):
        """Send one command; its result. Events that come before it are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def open(self, url):
        """Open a page and wait until it is loaded."""
        self.events.clear()  # a late one would be of the page before
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def run(self, script):
        """The value of a script in the page, awaited."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def press(self, key, code):
        """A key down and up, as a person would."""
        typed = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": {"ArrowLeft": 37}[key]}
        for kind, more in (("keyDown", typed), ("keyUp", {})):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=code, **more)

    def requests(self):
        """The addresses that the page asked for, its own and data apart."""
        sent = [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith(("data:", "file:", "about:"))]
