// The desk by itself works without this file. With it: numbers move, the search answers while you type, keys work.
"use strict";
(() => {
  const minute = 60, hour = 3600, day = 86400;

  // The server's own wording (outagecast/web/times.py), rounded down, with seconds below ten minutes.
  function length(seconds) {
    const s = Math.floor(seconds);
    if (s < minute) return `${s} s`;
    if (s < 10 * minute) return `${Math.floor(s / minute)} min ${String(s % minute).padStart(2, "0")} s`;
    if (s < hour) return `${Math.floor(s / minute)} min`;
    if (s < 2 * day) return `${Math.floor(s / hour)} h ${String(Math.floor((s % hour) / minute)).padStart(2, "0")} min`;
    return `${Math.floor(s / day)} d ${Math.floor((s % day) / hour)} h`;
  }

  // The server's clock is the one that counts: each page says what it showed when it was made. A browser's may be wrong,
  // and a demonstration's clock runs faster: how fast is seen from one look to the next.
  const clock = { server: Number(document.getElementById("main").dataset.now), at: performance.now(), rate: 1 };
  function set(server) {
    const at = performance.now(), rate = (server - clock.server) / Math.max(1, at - clock.at);
    if (at - clock.at > 2000) clock.rate = Math.abs(rate - 1) < 0.1 ? 1 : rate;
    clock.server = server;
    clock.at = at;
  }

  function tick() {
    const now = clock.server + (performance.now() - clock.at) * clock.rate;
    for (const span of document.querySelectorAll(".far[data-at]")) {
      const left = (Number(span.dataset.at) - now) / 1000;
      const says = left >= 0 ? `in ${length(left)}` : `${length(-left)} ago`;
      if (span.textContent !== says) span.textContent = says;
    }
  }

  // Fetch this page again and exchange the live parts, leaving what somebody has opened or is typing in alone.
  let looking = false, again = false;
  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
      if (answer.status !== 200) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (!fresh || part.contains(document.activeElement) || part.querySelector("details[open]")) continue;
        if (part.innerHTML !== fresh.innerHTML) part.innerHTML = fresh.innerHTML;
      }
      set(Number(page.getElementById("main").dataset.now));
      const title = page.querySelector("title");
      if (title) document.title = title.textContent;
      tick();
    } catch {
      // The next event, or the next load, tries again.
    } finally {
      looking = false;
      if (again) { again = false; setTimeout(look, 500); }
    }
  }

  function live() {
    if (!document.querySelector("[data-live]") || !window.EventSource) return;
    const source = new EventSource("/desk/events");
    source.addEventListener("change", (event) => { if (event.data !== "hello") look(); });
    // What only time changes (an undo window that closes, a promise that passes) rings no bell.
    setInterval(look, 15000);
    setTimeout(look, 3000);
  }

  function search() {
    const field = document.querySelector("[data-search]"), found = document.getElementById("found");
    const scope = document.getElementById("scope");
    if (!field || !found || !scope) return;
    let wait = 0, asked = "";
    field.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(async () => {
        asked = field.value.trim();
        const answer = await fetch(`${field.dataset.search}?q=${encodeURIComponent(asked)}`);
        if (answer.ok && !answer.redirected && asked === field.value.trim()) found.innerHTML = await answer.text();
      }, 150);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const first = found.querySelector("input[name=pick]");
      if (first) { take(first.value); field.value = ""; found.replaceChildren(); }
    });
    found.addEventListener("change", (event) => {
      if (event.target.name !== "pick") return;
      if (event.target.checked) take(event.target.value);
      else drop(event.target.value);
    });
    const lines = () => scope.value.split("\n").map((line) => line.trim()).filter(Boolean);
    function take(id) {
      const have = lines();
      if (!have.includes(id)) have.push(id);
      write(have);
    }
    function drop(id) { write(lines().filter((line) => line !== id)); }
    function write(have) {
      scope.value = have.join("\n");
      scope.rows = Math.max(2, have.length + 1);
      stale();
    }
  }

  // After a change the preview beside the form is no longer what will be sent: the button waits for another look.
  function stale() {
    const send = document.querySelector("#preview button[value=send]");
    if (send && !send.disabled) {
      send.disabled = true;
      send.title = "You changed something: look again first";
      const again = document.querySelector("#preview button[value=preview]");
      if (again) again.classList.add("act");
    }
  }

  function keys() {
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select");
      if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
        const form = typing && typing.form;
        const button = form && (form.querySelector("button[value=send]:not([disabled])") || form.querySelector("button.act:not([disabled])"));
        if (button) { event.preventDefault(); button.click(); }
        return;
      }
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        const field = document.querySelector("[data-search]");
        if (field) { event.preventDefault(); field.focus(); }
        return;
      }
      if (event.key === "?") { event.preventDefault(); help(); return; }
      const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      if (target) { event.preventDefault(); target.click(); }
    });
  }

  function help() {
    let dialog = document.querySelector("dialog.keys");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.className = "keys";
      const list = [["d", "declare an outage"], ["b", "the board"], ["/", "search what is down"], ["u", "undo, while there is time"],
        ["Ctrl+Enter", "preview, or send what was previewed"], ["?", "this list"], ["Esc", "close"]];
      for (const [key, says] of list) {
        const line = document.createElement("p"), kbd = document.createElement("kbd");
        kbd.textContent = key;
        line.append(kbd, ` ${says}`);
        dialog.append(line);
      }
      document.body.append(dialog);
    }
    dialog.showModal();
  }

  // Twice pressed is once sent; the key of the form makes sure of it on the server too.
  function once() {
    document.addEventListener("submit", (event) => {
      if (event.target.dataset.sent) { event.preventDefault(); return; }
      event.target.dataset.sent = "yes";
      setTimeout(() => { delete event.target.dataset.sent; }, 5000);
    });
  }

  const form = document.getElementById("declare");
  if (form) form.addEventListener("input", (event) => { if (event.target.name !== "find" && event.target.name !== "pick") stale(); });
  tick();
  setInterval(tick, 1000);
  live();
  search();
  keys();
  once();
  const errors = document.getElementById("errors");
  if (errors) errors.focus();
})();
